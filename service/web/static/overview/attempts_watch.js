/** Reads what runs and what failed where something happens, and no oftener than it changes. */

import {
  FAILURES_LIMIT,
  countFailures,
  countRunning,
  fetchFailures,
  fetchRunning,
} from "./happenings.js";
import { isAddressable } from "./listing.js";
import { Unanswered } from "../polling.js";
import { describeSystem } from "../study/places.js";

const WATCHED_STUDIES = 20;
const PAUSE_MS = 5000;
const RECENT_MS = 2 * 3600 * 1000;

export class AttemptsWatch {
  #known = new Map();

  /**
   * Asks again only for what may not be what it was: states only move forward, so each change of
   * one changes the counts. Runs elsewhere get pages and notes besides, and any revision may have
   * brought those.
   *
   * @param {object[]} studies as listed; only the first ones where something happens are asked for
   * @returns {Promise<{running: object[], failures: object[], recent: object}>} what happens, each
   *   with its `study` and the `system` that its `url` is of; `recent` has the `number` of failures
   *   of the last two hours, and whether there may be more: `isLeast`
   */
  async read(studies, signal) {
    const { watched, others } = choose(studies);
    const [running, failed] = await Promise.all([
      this.#readAll(watched.filter(countRunning).map(buildRunningRequest), signal),
      this.#readAll(watched.filter(hasFailures).map(buildFailuresRequest), signal),
    ]);
    this.#known = new Map([...running, ...failed].map((each) => [each.name, each]));
    const failures = failed.flatMap(getHappenings);
    return {
      running: leaveOut(running.flatMap(getHappenings), failures),
      failures,
      recent: countRecent(failed.map(getHappenings), others),
    };
  }

  #readAll(requests, signal) {
    return Promise.all(requests.map((request) => this.#readOne(request, signal)));
  }

  async #readOne({ name, version, study, fetchAll }, signal) {
    const known = this.#known.get(name);
    const now = performance.now();
    if (known?.version === version || now - known?.at < PAUSE_MS) {
      return known;
    }
    const happenings = await orNone(fetchAll(study, signal));
    return { name, version, at: now, happenings: happenings.map(withStudy(study)) };
  }
}

function choose(studies) {
  const askable = studies.filter(({ name }) => isAddressable(name));
  const running = askable.filter(countRunning);
  const failed = askable.filter((study) => !countRunning(study) && hasFailures(study));
  failed.sort((one, other) => getActivity(other) - getActivity(one));
  const chosen = [...running, ...failed];
  return { watched: chosen.slice(0, WATCHED_STUDIES), others: chosen.slice(WATCHED_STUDIES) };
}

function hasFailures(study) {
  return countFailures(study) > 0 || study.counts.fail > 0;
}

function getActivity(study) {
  return Date.parse(study.last_activity_at);
}

function buildRunningRequest(study) {
  const version = `${study.created_at} ${describeRunning(study)}`;
  return { name: `running ${study.name}`, version, study, fetchAll: fetchRunning };
}

function describeRunning({ counts, revision, sweep }) {
  if (sweep === undefined) {
    return JSON.stringify(counts);
  }
  return sweep.executor === "process" ? JSON.stringify(sweep.attempts) : revision;
}

function buildFailuresRequest(study) {
  const version = `${study.created_at} ${countFailures(study)} ${study.counts.fail}`;
  return { name: `failures ${study.name}`, version, study, fetchAll: fetchFailures };
}

function withStudy({ name, sweep }) {
  const system = describeSystem(sweep?.executor ?? "");
  return (happening) => ({ ...happening, study: name, system });
}

function getHappenings({ happenings }) {
  return happenings;
}

/** What has failed since it was asked for what runs does not run. */
function leaveOut(running, failures) {
  const describe = ({ study, key }) => JSON.stringify([study, key]);
  const failed = new Set(failures.map(describe));
  return running.filter((happening) => !failed.has(describe(happening)));
}

function countRecent(lists, others) {
  const isRecent = (moment) => Date.now() - Date.parse(moment) < RECENT_MS;
  const recent = lists.map((list) => list.filter(({ since }) => isRecent(since)));
  const isAllRecent = (list) => list.length >= FAILURES_LIMIT;
  const isOther = (study) => hasFailures(study) && isRecent(study.last_activity_at);
  return {
    number: recent.flat().length,
    isLeast: recent.some(isAllRecent) || others.some(isOther),
  };
}

/** Nothing of a study that was deleted meanwhile. */
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
