/** Attempts of a sweep: those that run now, or those of one trial. */

import { KeyedRows } from "../keyed_rows.js";
import { describeSystem, getAttemptHref, getStudyHref } from "./places.js";
import { setTime } from "../times.js";
import { describeExit, setOutsideLink, setState, setText } from "../words.js";

export class AttemptItems {
  #rows;
  #study = null;
  #isOfOneTrial = false;

  /** @param {Element} list what they are put into */
  constructor(list) {
    this.#rows = new KeyedRows(list, document.getElementById("attempt-item"), {
      getKey: ({ id }) => id,
      fill: (part, attempt) => this.#fill(part, attempt),
    });
  }

  /** @param {boolean} [isOfOneTrial] whether to name the attempt rather than the trial */
  show(attempts, study, { isOfOneTrial = false } = {}) {
    this.#study = study;
    this.#isOfOneTrial = isOfOneTrial;
    this.#rows.show(attempts);
  }

  #fill(part, attempt) {
    setState(part("state"), attempt.state);
    this.#fillName(part("trial"), attempt);
    setText(part("about"), this.#describe(attempt));
    const system = describeSystem(this.#study.sweep.executor);
    setOutsideLink(part("page"), attempt.url);
    setText(part("page"), `${system} ↗`);
    const name = `trial ${attempt.trial}, attempt ${attempt.attempt}`;
    part("page").setAttribute("aria-label", `${name} in ${system}`);
    part("log").href = getAttemptHref(this.#study.name, attempt.id);
    part("log").setAttribute("aria-label", `Log of ${name}`);
    setTime(part("since"), attempt.ended_at ?? attempt.claimed_at);
  }

  #fillName(link, { id, trial, attempt }) {
    const { name } = this.#study;
    setText(link, this.#isOfOneTrial ? `Attempt ${attempt}` : `Trial ${trial}`);
    link.href = this.#isOfOneTrial ? getAttemptHref(name, id) : getStudyHref(name, trial);
  }

  #describe(attempt) {
    const number = this.#isOfOneTrial ? null : `attempt ${attempt.attempt}`;
    const exit = attempt.reason === null ? describeExit(attempt) : null;
    const outcome = attempt.reason ?? (exit === null ? null : `exit ${exit}`);
    return [number, attempt.worker, attempt.note, outcome].filter(Boolean).join(" · ");
  }
}
