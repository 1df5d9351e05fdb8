/** The lists of what runs now and of what failed last. */

import { countFailed, countOpen } from "./attempts_watch.js";
import { EARLY_LIMIT } from "./failed_trials.js";
import { KeyedRows } from "./keyed_rows.js";
import { setTime } from "./times.js";
import { describeExit, setOutsideLink, setState, setText } from "./words.js";

const SHOWN_RUNNING = 50;
const SHOWN_FAILURES = 20;

const find = (id) => document.getElementById(id);

export class AttemptLists {
  #running = buildRows("running", { describe: describeWorker, getSince: getStart });
  #failures = buildRows("failures", { describe: describeFailure, getSince: getEnd });

  /** Shows these attempts; the totals are those of all listed sweeps, as far as they are known. */
  show(sweeps, { open, failed, early }) {
    find("activity").hidden = sweeps.length === 0;
    this.#showRunning(open, sum(sweeps, countOpen));
    const more = early.length < EARLY_LIMIT ? "in all" : "or more";
    this.#showFailures([...failed, ...early], sum(sweeps, countFailed) + early.length, more);
  }

  #showRunning(open, total) {
    const shown = open.toSorted(compareTrials).slice(0, SHOWN_RUNNING);
    const more = total - shown.length;
    this.#running.show(shown);
    setText(find("running-total"), total > 0 ? total.toLocaleString("en") : "");
    find("running-none").hidden = total > 0;
    find("running-more").hidden = more <= 0;
    setText(find("running-more"), `${more.toLocaleString("en")} more`);
  }

  #showFailures(failed, total, more) {
    const newest = failed.toSorted((one, other) => compare(getEnd(other), getEnd(one)));
    this.#failures.show(newest.slice(0, SHOWN_FAILURES));
    setText(find("failures-total"), total > 0 ? `${total.toLocaleString("en")} ${more}` : "");
    find("failures-none").hidden = total > 0;
  }
}

function buildRows(id, { describe, getSince }) {
  const fill = (part, attempt) => {
    setState(part("state"), attempt.state);
    setText(part("study"), attempt.study);
    setText(part("number"), `#${attempt.trial}`);
    part("log").hidden = attempt.attempt === null;
    part("log").href = buildLogAddress(attempt);
    part("log").setAttribute("aria-label", `Log of ${attempt.study} #${attempt.trial}`);
    setOutsideLink(part("page"), attempt.url);
    part("page").setAttribute("aria-label", `Run of ${attempt.study} #${attempt.trial}`);
    setText(part("about"), describe(attempt));
    setTime(part("since"), getSince(attempt));
  };
  return new KeyedRows(find(id), find("attempt"), { getKey, fill });
}

function getKey({ study, id }) {
  return `${study} ${id}`;
}

function buildLogAddress({ study, id }) {
  return `/ui/sweeps/${encodeURIComponent(study)}/attempts/${encodeURIComponent(id)}`;
}

function describeWorker(attempt) {
  const parts = [`attempt ${attempt.attempt}`, attempt.worker ?? "worker unknown", attempt.note];
  return parts.filter(Boolean).join(" · ");
}

function describeFailure(attempt) {
  const exit = describeExit(attempt);
  const reason = attempt.reason ?? (exit === null ? "for a reason nobody knows" : `exit ${exit}`);
  return `${attempt.attempt === null ? "no attempt" : `attempt ${attempt.attempt}`} · ${reason}`;
}

function getStart(attempt) {
  return attempt.claimed_at;
}

function getEnd(attempt) {
  return attempt.ended_at ?? attempt.claimed_at;
}

function compareTrials(one, other) {
  return (
    compare(one.study, other.study) || one.trial - other.trial || one.attempt - other.attempt
  );
}

function compare(one, other) {
  return Number(one > other) - Number(one < other);
}

function sum(sweeps, countOne) {
  return sweeps.reduce((total, sweep) => total + countOne(sweep), 0);
}
