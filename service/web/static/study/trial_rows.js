/** A trial as a row of the table. */

import { KeyedRows } from "../keyed_rows.js";
import { describeParams } from "../params.js";
import { describeSystem, getAttemptHref, getStudyHref } from "./places.js";
import { formatDuration } from "../times.js";
import { setOutsideLink, setState, setText, shorten } from "../words.js";

/** What rows were last filled with. */
const filled = new WeakMap();

/** Rows of trials in the body of a table; `show(trials, study)` refreshes them in place. */
export function buildTrialRows(body) {
  let shownStudy = null;
  const rows = new KeyedRows(body, document.getElementById("trial-row"), {
    getKey: (trial) => String(trial.number),
    fill: (part, trial) => fillIfOther(part, trial, shownStudy),
  });
  return {
    show(trials, study) {
      shownStudy = study;
      rows.show(trials);
    },
  };
}

/** A thousand rows written anew hold up whoever types or scrolls; what runs takes ever longer. */
function fillIfOther(part, trial, study) {
  const row = part("number");
  const content = JSON.stringify([trial, isBest(trial, study)]);
  if (filled.get(row) !== content || trial.state === "RUNNING") {
    filled.set(row, content);
    fillRow(part, trial, study);
  }
}

/** How long a trial took, or has taken by now; "" if it has not begun. */
export function describeTook({ started_at: startedAt, finished_at: finishedAt }) {
  return startedAt === null ? "" : formatDuration(startedAt, finishedAt);
}

/** What is to be known of a trial besides its state, in words: why it failed, what it waits for. */
export function describeTrouble({ state, phase, reason, attempt }) {
  if (state === "RUNNING" && phase === "queued") {
    return [`waits for attempt ${attempt + 1}`, reason].filter(Boolean).join(": ");
  }
  if (state === "RUNNING" && phase === "expired") {
    return "lost: nobody has heard of it for the time of its lease";
  }
  return reason ?? (state === "FAIL" ? "nobody said why" : "");
}

function fillRow(part, trial, study) {
  fillNumber(part("number"), trial, study);
  setState(part("state"), trial.state.toLowerCase());
  setText(part("value"), describeValues(trial, study));
  part("value").title = isBest(trial, study) ? "the best one" : "";
  fillParams(part("params"), trial.params);
  fillTrouble(part("reason"), trial);
  setText(part("steps"), trial.last_step?.toLocaleString("en") ?? "—");
  setText(part("attempt"), trial.attempt === 0 ? "—" : String(trial.attempt));
  setText(part("took"), describeTook(trial) || "—");
  fillPlaces(part, trial.latest_attempt, study);
}

function fillNumber(link, { number }, { name }) {
  setText(link, String(number));
  link.href = getStudyHref(name, number);
  link.setAttribute("aria-label", `Trial ${number}`);
}

function isBest(trial, study) {
  return study.best?.number === trial.number;
}

function describeValues(trial, study) {
  const described = trial.values === null ? "—" : trial.values.map(shorten).join(", ");
  return isBest(trial, study) ? `${described} ★` : described;
}

function fillParams(element, params) {
  const described = describeParams(params);
  setText(element, described);
  element.title = described;
}

function fillTrouble(element, trial) {
  const trouble = describeTrouble(trial);
  element.hidden = trouble === "";
  element.classList.toggle("is-failure", trial.state === "FAIL");
  setText(element, trouble);
  element.title = trouble;
}

function fillPlaces(part, attempt, { name, sweep }) {
  const page = part("page");
  const log = part("log");
  setOutsideLink(page, attempt?.url ?? null);
  log.hidden = !attempt;
  if (attempt) {
    const system = describeSystem(sweep.executor);
    setText(page, `${system} ↗`);
    page.setAttribute("aria-label", `Trial ${attempt.trial} in ${system}`);
    log.href = getAttemptHref(name, attempt.id);
    log.setAttribute("aria-label", `Log of trial ${attempt.trial}`);
  }
}
