/** What there is: sweeps, and studies that are none. */

import { Resource } from "../polling.js";
import { getState, isOver } from "../states.js";

const LIMIT = 200;
const MIN_STATE_LETTERS = 3;
/** Those that studies and sweeps may be asked for alike. */
const ASKABLE_STATES = new Set(["active", "paused", "stopping", "finished"]);

/**
 * Whether a browser can ask for what is below `/studies/{name}`: it reads `.` and `..` as folders,
 * however they are written.
 */
export function isAddressable(name) {
  return name !== "." && name !== "..";
}

/** Adds up what `countOne` says of each study. */
export function addUp(studies, countOne) {
  return studies.reduce((total, study) => total + countOne(study), 0);
}

export class Listing {
  #resources = new Map();
  #known = { parts: [] };

  /**
   * @param {string} text what a name or a state has in it; "" for all
   * @returns {Promise<{all: object[], isCut: boolean, found: object[], isFoundCut: boolean}>}
   *   in the order to show; the same object as before while nothing has changed. Where there are
   *   more than are listed, those that are active are among them.
   */
  async read(text, signal) {
    const first = await this.#readBoth("first", {}, signal);
    const active = first.isCut ? await this.#readBoth("active", { state: "active" }, signal) : NONE;
    const isAsked = first.isCut && text !== "";
    const asked = isAsked ? await this.#readBoth("asked", buildQuery(text), signal) : NONE;
    const parts = [text, ...first.answers, ...active.answers, ...asked.answers];
    if (!isSame(parts, this.#known.parts)) {
      this.#known = { parts, listed: select(text, { first, active, asked }) };
    }
    return this.#known.listed;
  }

  /** Both lists are by name and as long, so that whatever is a sweep here is among the sweeps. */
  async #readBoth(purpose, query, signal) {
    const search = new URLSearchParams({ limit: LIMIT, ...query });
    // Studies before sweeps: a sweep is a study too, and never shown as a mere one for a moment.
    const studies = await this.#get(`${purpose} studies`).read(`/studies?${search}`, signal);
    const sweeps = await this.#get(`${purpose} sweeps`).read(`/sweeps?${search}`, signal);
    const entries = unite(sweeps.sweeps, studies.studies);
    return { answers: [studies, sweeps], entries, isCut: studies.next_cursor !== null };
  }

  #get(name) {
    if (!this.#resources.has(name)) {
      this.#resources.set(name, new Resource());
    }
    return this.#resources.get(name);
  }
}

const NONE = { answers: [], entries: [], isCut: false };

function buildQuery(text) {
  return ASKABLE_STATES.has(text.toLowerCase()) ? { state: text.toLowerCase() } : { q: text };
}

function isSame(parts, known) {
  return parts.length === known.length && parts.every((part, index) => part === known[index]);
}

function select(text, { first, active, asked }) {
  const all = unite(first.entries, active.entries).sort(compare);
  const found = unite(
    all.filter((entry) => matches(entry, text.toLowerCase())),
    asked.entries,
  );
  const isFoundCut = text === "" ? first.isCut : asked.isCut;
  return { all, isCut: first.isCut, found: found.sort(compare), isFoundCut };
}

function unite(some, others) {
  const names = new Set(some.map(({ name }) => name));
  return [...some, ...others.filter(({ name }) => !names.has(name))];
}

function matches(entry, text) {
  const isState = text.length >= MIN_STATE_LETTERS && getState(entry).startsWith(text);
  return isState || entry.name.toLowerCase().includes(text);
}

/** What goes on comes first, newest first: an order that no refresh changes. Then what ended last. */
function compare(one, other) {
  const [isOneOver, isOtherOver] = [one, other].map(isOver);
  if (isOneOver !== isOtherOver) {
    return Number(isOneOver) - Number(isOtherOver);
  }
  const getMoment = (entry) => Date.parse(isOneOver ? entry.last_activity_at : entry.created_at);
  return getMoment(other) - getMoment(one) || one.name.localeCompare(other.name);
}
