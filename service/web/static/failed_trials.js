/** Reads the trials of a sweep that failed without an attempt: no worker ever had them. */

import { fetchText } from "./polling.js";

const PAGE_LIMIT = 1000;
/** Of one sweep no more than these are read. */
export const EARLY_LIMIT = 5;
const FIELDS = ["reason", "finished_at"];

/** The newest ones, each as if it was an attempt, without number. */
export async function fetchFailedTrials(study, signal) {
  const newest = (await fetchFailed(study, signal)).slice(-EARLY_LIMIT);
  const attempts = await Promise.all(newest.map((trial) => fetchAttempts(study, trial, signal)));
  return newest.filter((_, index) => attempts[index].length === 0).map(toFailure);
}

async function fetchFailed(study, signal) {
  const found = [];
  let cursor = null;
  do {
    const query = new URLSearchParams({ state: "FAIL", limit: PAGE_LIMIT });
    FIELDS.forEach((field) => query.append("fields", field));
    if (cursor !== null) {
      query.set("cursor", cursor);
    }
    const page = await fetchJson(`/studies/${encodeURIComponent(study)}/trials?${query}`, signal);
    found.push(...page.trials);
    cursor = page.next_cursor;
  } while (cursor !== null);
  return found;
}

async function fetchAttempts(study, { number }, signal) {
  const query = new URLSearchParams({ trial: number, limit: 1 });
  const url = `/sweeps/${encodeURIComponent(study)}/attempts?${query}`;
  return (await fetchJson(url, signal)).attempts;
}

async function fetchJson(url, signal) {
  return JSON.parse((await fetchText(url, { signal })).text);
}

function toFailure({ number, reason, finished_at: endedAt }) {
  return {
    id: `trial ${number}`,
    trial: number,
    attempt: null,
    state: "failed",
    reason,
    url: null,
    claimed_at: null,
    ended_at: endedAt,
    exit_code: null,
    signal: null,
  };
}
