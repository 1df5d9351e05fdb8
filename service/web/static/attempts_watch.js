/** Reads what runs and what failed of those sweeps where something happens. */

import { fetchFailedTrials } from "./failed_trials.js";
import { Unanswered, fetchText } from "./polling.js";

const OPEN = ["launching", "running", "stopping"];
const FAILED = ["failed", "lost"];
const WATCHED_SWEEPS = 20;
const OPEN_LIMIT = 20;
const FAILED_LIMIT = 5;

/** How many of a sweep's attempts are at work. */
export function countOpen({ sweep }) {
  return sumCounts(sweep.attempts, OPEN);
}

/** How many of a sweep's attempts went wrong. */
export function countFailed({ sweep }) {
  return sumCounts(sweep.attempts, FAILED);
}

export class AttemptsWatch {
  #known = new Map();

  /**
   * Asks again only for attempts that may not be what they were: states only move forward, so each
   * change of one changes the sweep's counts. Runs elsewhere get pages and notes besides, and any
   * revision may have brought those.
   *
   * @param {object[]} sweeps as listed; only the first ones where something happens are asked for
   * @returns {Promise<{open: object[], failed: object[], early: object[]}>} attempts, each with its
   *   `study`; trials among them that failed before a worker had them, whose attempt is null
   */
  async read(sweeps, signal) {
    const watched = choose(sweeps);
    const [open, failed, early] = await Promise.all([
      this.#readAll(watched.filter(hasOpen).map(buildOpenRequest), signal),
      this.#readAll(watched.filter(hasFailed).map(buildFailedRequest), signal),
      this.#readAll(watched.filter(hasFailedTrials).map(buildTrialsRequest), signal),
    ]);
    this.#known = new Map([...open, ...failed, ...early].map((each) => [each.url, each]));
    return {
      open: open.flatMap(getAttempts),
      failed: failed.flatMap(getAttempts),
      early: early.flatMap(getAttempts),
    };
  }

  #readAll(requests, signal) {
    return Promise.all(requests.map((request) => this.#readOne(request, signal)));
  }

  async #readOne({ url, version, study, fetchAll = fetchAttempts }, signal) {
    const known = this.#known.get(url);
    if (known?.version === version) {
      return known;
    }
    const attempts = await orNone(fetchAll(url, signal));
    return { url, version, attempts: attempts.map((attempt) => ({ ...attempt, study })) };
  }
}

function choose(sweeps) {
  const open = sweeps.filter(hasOpen);
  const isClosed = (sweep) => !hasOpen(sweep) && (hasFailed(sweep) || hasFailedTrials(sweep));
  const failed = sweeps.filter(isClosed);
  const getActivity = (sweep) => Date.parse(sweep.last_activity_at);
  failed.sort((one, other) => getActivity(other) - getActivity(one));
  return [...open, ...failed].slice(0, WATCHED_SWEEPS);
}

function hasOpen(sweep) {
  return countOpen(sweep) > 0;
}

function hasFailed(sweep) {
  return countFailed(sweep) > 0;
}

function hasFailedTrials({ counts }) {
  return counts.fail > 0;
}

function buildOpenRequest(sweep) {
  return buildRequest(sweep, {
    states: OPEN,
    limit: OPEN_LIMIT,
    version: describeVersion(sweep),
  });
}

function describeVersion({ revision, sweep }) {
  return sweep.executor === "process" ? JSON.stringify(sweep.attempts) : revision;
}

function buildFailedRequest(sweep) {
  return buildRequest(sweep, { states: FAILED, limit: FAILED_LIMIT, version: countFailed(sweep) });
}

function buildTrialsRequest({ name, sweep, counts }) {
  return {
    study: name,
    url: `/studies/${encodeURIComponent(name)}/trials`,
    version: `${sweep.id} ${counts.fail}`,
    fetchAll: (_, signal) => fetchFailedTrials(name, signal),
  };
}

function buildRequest({ name, sweep }, { states, limit, version }) {
  const query = new URLSearchParams([...states.map((state) => ["state", state]), ["limit", limit]]);
  return {
    study: name,
    url: `/sweeps/${encodeURIComponent(name)}/attempts?${query}`,
    version: `${sweep.id} ${version}`,
  };
}

function getAttempts({ attempts }) {
  return attempts;
}

async function fetchAttempts(url, signal) {
  const { text } = await fetchText(url, { signal });
  return JSON.parse(text).attempts;
}

/** Nothing of a sweep that was deleted meanwhile. */
async function orNone(fetched) {
  try {
    return await fetched;
  } catch (error) {
    if (error instanceof Unanswered && error.status === 404) {
      return [];
    }
    throw error;
  }
}

function sumCounts(counts, states) {
  return states.reduce((sum, state) => sum + (counts[state] ?? 0), 0);
}
