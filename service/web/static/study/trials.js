/** The table of trials: ordered, filtered, and longer the more of it somebody wants to see. */

import { Unanswered, fetchJson } from "../polling.js";
import { parseFilter } from "./conditions.js";
import { buildTrialRows } from "./trial_rows.js";
import { getStudyUrl } from "./places.js";
import { setText } from "../words.js";

const PAGE = 25;
const MOST = 1000;
const TYPING_MS = 500;
const FIELDS = [
  "number",
  "state",
  "params",
  "values",
  "attempt",
  "phase",
  "reason",
  "started_at",
  "finished_at",
  "last_step",
];

export class TrialsTable {
  #card;
  #order;
  #state;
  #filter;
  #wish = parseFilter("");
  #timer = null;
  #rows;
  #study = null;
  #trials = [];
  #wanted = PAGE;
  #onChange;

  /** @param {() => void} onChange somebody wants to see others, which must be read */
  constructor(card, onChange) {
    this.#card = card;
    this.#onChange = onChange;
    this.#order = card.querySelector("#order");
    this.#state = card.querySelector("#state-filter");
    this.#filter = card.querySelector("#trials-filter input");
    this.#rows = buildTrialRows(card.querySelector("tbody"));
    this.#order.addEventListener("change", () => this.#begin());
    this.#state.addEventListener("change", () => this.#begin());
    this.#filter.addEventListener("input", () => this.#filterSoon());
    this.#filter.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#filterNow();
    });
    this.#part("more").addEventListener("click", () => this.#grow());
  }

  /** Takes what the study is now; reads nothing. */
  note(study) {
    this.#study = study;
    const isSweep = study.sweep !== undefined;
    this.#card.hidden = false;
    this.#card.classList.toggle("of-sweep", isSweep);
    this.#order.querySelector("[value=best]").disabled = study.objectives.length > 1;
    setText(this.#part("value-heading"), describeValues(study.objectives));
    this.#rows.show(this.#trials, study);
  }

  /** How long to leave the table as it is: a long one is more work for the server. */
  get pauseMs() {
    return this.#wanted > 200 || this.#order.value === "best" ? 10000 : 2000;
  }

  /** Reads all that is shown once more: where trials were added or have ended, all of it may move. */
  async read(signal) {
    if (this.#wish.unknown.length > 0) {
      this.#refuse(this.#wish.unknown.map(describeUnknownState).join(" "), { isOfFilter: true });
      return;
    }
    try {
      this.#showPage(await fetchJson(this.#buildUrl(), signal));
    } catch (error) {
      if (!(error instanceof Unanswered && error.status === 422)) {
        throw error;
      }
      this.#refuseAs(error.text);
    }
  }

  #buildUrl() {
    const query = new URLSearchParams({ order: this.#order.value, limit: this.#wanted });
    this.#listStates().forEach((state) => query.append("state", state));
    this.#wish.where.forEach((condition) => query.append("where", condition));
    const fields = this.#study.sweep === undefined ? FIELDS : [...FIELDS, "latest_attempt"];
    fields.forEach((field) => query.append("fields", field));
    return `${getStudyUrl(this.#study.name)}/trials?${query}`;
  }

  #listStates() {
    return this.#state.disabled || this.#state.value === "" ? this.#wish.states : [this.#state.value];
  }

  #showPage({ trials, next_cursor: nextCursor }) {
    this.#trials = trials;
    this.#rows.show(trials, this.#study);
    const isMore = nextCursor !== null;
    this.#part("refused").hidden = true;
    this.#filter.ariaInvalid = false;
    this.#part("none").hidden = trials.length > 0;
    setText(
      this.#part("none"),
      this.#study.counts.total === 0 ? "No trials yet." : "No trial is like that.",
    );
    this.#card.querySelector("table").hidden = trials.length === 0;
    this.#part("more").hidden = !isMore || this.#wanted >= MOST;
    this.#part("cut").hidden = !isMore || this.#wanted < MOST;
    setText(
      this.#part("cut"),
      `These are ${MOST.toLocaleString("en")}; the exports have all of them.`,
    );
    setText(this.#part("shown"), describeShown(trials.length, isMore, this.#order.value));
  }

  #refuseAs(problem) {
    const { detail, errors = [{ field: "", message: detail }] } = JSON.parse(problem);
    const words = errors.map(({ message }) => message).join("; ");
    this.#refuse(`The server cannot list trials like that: ${words}`, {
      isOfFilter: errors.some(({ field }) => /^(where|state)\b/.test(field)),
    });
  }

  /** Leaves what is shown: whoever types is not done yet. */
  #refuse(words, { isOfFilter }) {
    this.#filter.ariaInvalid = isOfFilter;
    this.#part("refused").hidden = false;
    setText(this.#part("refused"), words);
  }

  #filterSoon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#filterNow(), TYPING_MS);
  }

  #filterNow() {
    clearTimeout(this.#timer);
    this.#wish = parseFilter(this.#filter.value);
    this.#begin();
  }

  #begin() {
    this.#wanted = PAGE;
    // The best ones are complete, and what is written goes before what is chosen.
    this.#state.disabled = this.#order.value === "best" || this.#wish.states.length > 0;
    this.#onChange();
  }

  #grow() {
    this.#wanted = Math.min(MOST, this.#wanted + (this.#wanted < 100 ? 25 : 100));
    this.#onChange();
  }

  #part(name) {
    return this.#card.querySelector(`[data-part="${name}"]`);
  }
}

function describeValues(objectives) {
  return objectives.map(({ name }) => name).join(", ");
}

function describeShown(shown, isMore, order) {
  const number = shown.toLocaleString("en");
  return isMore ? `the ${order} ${number}` : number;
}

function describeUnknownState(word) {
  return `"${word}" is no state of trials; they are waiting, running, complete, pruned and failed.`;
}
