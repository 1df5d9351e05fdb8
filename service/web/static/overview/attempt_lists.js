/** The lists of what runs now and of what failed last. */

import { countFailures, countRunning } from "./happenings.js";
import { KeyedRows } from "../keyed_rows.js";
import { addUp } from "./listing.js";
import { getAttemptHref, getStudyHref } from "../study/places.js";
import { setTime } from "../times.js";
import { setOutsideLink, setState, setText } from "../words.js";

const SHOWN_RUNNING = 50;
const SHOWN_FAILURES = 20;

const find = (id) => document.getElementById(id);

export class AttemptLists {
  #running = buildRows("running");
  #failures = buildRows("failures");

  /** Shows what happens; the totals are those of all listed studies, as far as they are known. */
  show(studies, { running, failures }) {
    this.#showRunning(running, addUp(studies, countRunning));
    this.#showFailures(failures, addUp(studies, countFailures));
  }

  #showRunning(running, total) {
    const shown = running.toSorted(compareTrials).slice(0, SHOWN_RUNNING);
    const more = total - shown.length;
    this.#running.show(shown);
    keepHeight("running", total);
    setText(find("running-total"), total > 0 ? total.toLocaleString("en") : "");
    find("running-none").hidden = total > 0;
    find("running-more").hidden = more <= 0;
    setText(find("running-more"), `${more.toLocaleString("en")} more`);
  }

  #showFailures(failures, counted) {
    const newest = failures.toSorted((one, other) => compare(other.since, one.since));
    const total = Math.max(counted, failures.length);
    this.#failures.show(newest.slice(0, SHOWN_FAILURES));
    keepHeight("failures", total);
    setText(find("failures-total"), total > 0 ? `newest of ${total.toLocaleString("en")}` : "");
    find("failures-none").hidden = total > 0;
  }
}

function buildRows(id) {
  const getKey = ({ study, key }) => JSON.stringify([study, key]);
  return new KeyedRows(find(id), find("happening"), { getKey, fill });
}

/** An empty list is as small as its sentence, until something was in it. */
function keepHeight(id, total) {
  if (total > 0) {
    find(id).parentElement.classList.add("was-filled");
  }
}

function fill(part, { study, system, trial, state, url, log, since, about }) {
  const title = `${study} #${trial}`;
  setState(part("state"), state);
  setText(part("study"), study);
  part("study").title = study;
  part("study").href = getStudyHref(study);
  setText(part("number"), `#${trial}`);
  part("number").href = getStudyHref(study, trial);
  part("number").setAttribute("aria-label", `Trial ${trial} of ${study}`);
  setOutsideLink(part("page"), url);
  setText(part("page"), `${system} ↗`);
  part("page").setAttribute("aria-label", `${title} in ${system}`);
  part("log").hidden = log === null;
  part("log").href = log === null ? "" : getAttemptHref(study, log);
  part("log").setAttribute("aria-label", `Log of ${title}`);
  setText(part("about"), about);
  part("about").title = about;
  setTime(part("since"), since);
}

function compareTrials(one, other) {
  return (
    compare(one.study, other.study) || one.trial - other.trial || one.attempt - other.attempt
  );
}

function compare(one, other) {
  return Number(one > other) - Number(one < other);
}
