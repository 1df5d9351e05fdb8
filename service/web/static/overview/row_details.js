/** What rows in sight show besides what the lists say: the course of the values, the best params. */

import { isAddressable } from "./listing.js";
import { Unanswered, fetchJson } from "../polling.js";
import { getStudyUrl, getTrialUrl } from "../study/places.js";

const POINTS = 60;
const AT_ONCE = 2;
const PAUSE_MS = 10_000;
/** What takes the server a second is asked for three times a minute: it has other work. */
const REST_FACTOR = 20;

export class RowDetails {
  #onDetails;
  #observer = new IntersectionObserver((sights) => this.#notice(sights));
  /** By study: a row that a filter has taken away comes back with what was known. */
  #known = new Map();
  #keys = new WeakMap();
  #underWay = 0;

  /** @param {(row: Element, study: object, details: object) => void} onDetails writes a row */
  constructor(onDetails) {
    this.#onDetails = onDetails;
  }

  /** Takes what a row shows now; asks for nothing. */
  note(row, study) {
    const key = JSON.stringify([study.name, study.created_at]);
    if (!this.#known.has(key)) {
      this.#known.set(key, buildUnknown());
    }
    const known = this.#known.get(key);
    known.study = study;
    if (known.row !== row) {
      known.row = row;
      known.isInSight = false;
      this.#keys.set(row, key);
      // Anew, to be told of a row that was there for another study of this name.
      this.#observer.unobserve(row);
      this.#observer.observe(row);
    }
  }

  /** Writes the rows in sight anew, and asks for what has changed there: few at once, not often. */
  refresh() {
    for (const { row, study, details, isInSight } of this.#known.values()) {
      if (isInSight) {
        this.#onDetails(row, study, details);
      }
    }
    this.#askMore();
  }

  /** A row that was taken away is out of sight, too. */
  #notice(sights) {
    for (const { target, isIntersecting } of sights) {
      const known = this.#known.get(this.#keys.get(target));
      if (known.row === target) {
        known.isInSight = isIntersecting;
      }
      if (!target.isConnected) {
        this.#observer.unobserve(target);
      }
    }
    this.#askMore();
  }

  #askMore() {
    while (this.#underWay < AT_ONCE) {
      const due = [...this.#known.values()].find(isDue);
      if (due === undefined) {
        return;
      }
      this.#ask(due);
    }
  }

  async #ask(known) {
    this.#underWay += 1;
    const begin = performance.now();
    known.restsUntil = Infinity;
    try {
      const { study } = known;
      known.details = await readDetails(study, known.details);
      known.shown = describeResults(study);
      this.#onDetails(known.row, known.study, known.details);
    } catch (error) {
      // Whether the server is there is what the lists tell; a row is asked for again anyway.
      if (!(error instanceof Unanswered)) {
        throw error;
      }
    } finally {
      const end = performance.now();
      known.restsUntil = end + Math.max(PAUSE_MS, (end - begin) * REST_FACTOR);
      this.#underWay -= 1;
      this.#askMore();
    }
  }
}

function buildUnknown() {
  const details = { history: null, best: null };
  return { row: null, study: null, details, isInSight: false, shown: null, restsUntil: 0 };
}

function isDue({ study, isInSight, shown, restsUntil }) {
  const isWanted = isInSight && !document.hidden && isAddressable(study.name);
  const isNew = hasResults(study) && shown !== describeResults(study);
  return isWanted && isNew && performance.now() >= restsUntil;
}

function hasResults({ counts: { complete, pruned, fail } }) {
  return complete + pruned + fail > 0;
}

/** Changes with every trial that ends, and with nothing else. */
function describeResults({ counts: { complete, pruned, fail }, best }) {
  return JSON.stringify([complete, pruned, fail, best]);
}

async function readDetails(study, known) {
  const history = await fetchJson(`${getStudyUrl(study.name)}/history?points=${POINTS}`);
  return { history, best: await readBest(study, known.best) };
}

/** Parameters of a trial that has ended stay what they are. */
async function readBest({ name, best }, known) {
  if (best === null) {
    return null;
  }
  if (known?.number === best.number) {
    return known;
  }
  const { number } = best;
  const { params } = await fetchJson(getTrialUrl(name, number, ["params"]));
  return { number, params };
}
