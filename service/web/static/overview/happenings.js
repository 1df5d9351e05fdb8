/**
 * What happens to one study: what runs, and what failed.
 *
 * All come in one form, `{key, trial, attempt, state, url, log, since, about}`: attempts of sweeps,
 * trials that programs have asked for, and trials that failed before anybody had them. `log` is the
 * id of the attempt that has one, `about` says in words what else there is to say.
 */

import { fetchJson } from "../polling.js";
import { OPEN_ATTEMPTS } from "../states.js";
import { getStudyUrl } from "../study/places.js";
import { describeExit } from "../words.js";

export const RUNNING_LIMIT = 20;
export const FAILURES_LIMIT = 10;

const FAILED = ["failed", "lost"];
const RUNNING_FIELDS = ["attempt", "phase", "started_at"];
const FAILED_FIELDS = ["attempt", "reason", "finished_at", "latest_attempt"];

/** How many attempts or trials of a study are at work. */
export function countRunning({ counts, sweep }) {
  return sweep === undefined ? counts.running : sumCounts(sweep.attempts, OPEN_ATTEMPTS);
}

/** How many attempts of a sweep, or trials of a study, went wrong. */
export function countFailures({ counts, sweep }) {
  return sweep === undefined ? counts.fail : sumCounts(sweep.attempts, FAILED);
}

/** The first ones of what runs. */
export async function fetchRunning({ name, sweep }, signal) {
  if (sweep === undefined) {
    const query = { state: "RUNNING", order: "newest", limit: RUNNING_LIMIT };
    return (await fetchTrials(name, { query, fields: RUNNING_FIELDS }, signal)).map(toRunningTrial);
  }
  const query = { states: OPEN_ATTEMPTS, limit: RUNNING_LIMIT };
  return (await fetchAttempts(name, query, signal)).map(toRunningAttempt);
}

/** The newest ones of what failed. */
export async function fetchFailures({ name, sweep }, signal) {
  const query = { state: "FAIL", order: "newest", limit: FAILURES_LIMIT };
  const trials = await fetchTrials(name, { query, fields: FAILED_FIELDS }, signal);
  if (sweep === undefined) {
    return trials.map(toFailedTrial);
  }
  const attempts = { states: FAILED, limit: FAILURES_LIMIT };
  const failed = (await fetchAttempts(name, attempts, signal)).map(toFailedAttempt);
  return [...failed, ...trials.filter(hadNoWorker).map(toUnlaunchedTrial)];
}

function hadNoWorker({ latest_attempt: attempt }) {
  return attempt === null;
}

async function fetchTrials(name, { query, fields }, signal) {
  const search = new URLSearchParams(query);
  fields.forEach((field) => search.append("fields", field));
  return (await fetchJson(`${getStudyUrl(name)}/trials?${search}`, signal)).trials;
}

async function fetchAttempts(name, { states, limit }, signal) {
  const search = new URLSearchParams({ limit });
  states.forEach((state) => search.append("state", state));
  const url = `/sweeps/${encodeURIComponent(name)}/attempts?${search}`;
  return (await fetchJson(url, signal)).attempts;
}

function toRunningTrial({ number, attempt, phase, started_at: since }) {
  const state = phase === "queued" ? "waiting" : "running";
  return { ...identifyTrial({ number, attempt }), state, since, about: nameAttempt(attempt) };
}

function toRunningAttempt(attempt) {
  const about = [nameAttempt(attempt.attempt), attempt.worker ?? "worker unknown", attempt.note];
  return {
    ...identifyAttempt(attempt),
    since: attempt.claimed_at,
    about: about.filter(Boolean).join(" · "),
  };
}

function toFailedTrial({ number, attempt, reason, finished_at: since }) {
  const about = `${nameAttempt(attempt)} · ${reason ?? UNKNOWN}`;
  return { ...identifyTrial({ number, attempt }), state: "failed", since, about };
}

function toUnlaunchedTrial(trial) {
  return toFailedTrial({ ...trial, attempt: null });
}

function toFailedAttempt(attempt) {
  const exit = describeExit(attempt);
  const reason = attempt.reason ?? (exit === null ? UNKNOWN : `exit ${exit}`);
  return {
    ...identifyAttempt(attempt),
    since: attempt.ended_at ?? attempt.claimed_at,
    about: `${nameAttempt(attempt.attempt)} · ${reason}`,
  };
}

const UNKNOWN = "for a reason nobody knows";

function identifyTrial({ number, attempt }) {
  return { key: `trial ${number}`, trial: number, attempt, url: null, log: null };
}

function identifyAttempt({ id, trial, attempt, state, url }) {
  return { key: id, trial, attempt, state, url, log: id };
}

function nameAttempt(attempt) {
  return attempt === null ? "no attempt" : `attempt ${attempt}`;
}

function sumCounts(counts, states) {
  return states.reduce((sum, state) => sum + (counts[state] ?? 0), 0);
}
