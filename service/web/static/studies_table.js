/** The tables of studies and of sweeps, which are studies too. */

import { KeyedRows } from "./keyed_rows.js";
import { setTime } from "./times.js";
import { describeStop, setOutsideLink, setState, setText, shorten } from "./words.js";

const COUNTS = ["complete", "pruned", "fail", "running", "waiting", "left"];
const COUNT_WORDS = { fail: "failed" };

/** The rows of studies, or of sweeps, in the body of a table. */
export function buildStudiesTable(body, template) {
  return new KeyedRows(body, template, { getKey: (study) => study.name, fill: fillRow });
}

function fillRow(part, study) {
  fillName(part("name"), study.name);
  setText(part("objectives"), describeObjectives(study.objectives));
  setState(part("state"), study.sweep?.state ?? study.state);
  setText(part("stop-reason"), describeStop(study.stop_reason));
  fillMirror(part, study);
  fillCounts(part, study);
  fillBest(part, study);
  setTime(part("activity"), study.last_activity_at);
}

function fillName(element, name) {
  setText(element, name);
  element.title = name;
  if (element instanceof HTMLAnchorElement) {
    element.href = `/ui/dashboard?study=${encodeURIComponent(name)}`;
  }
}

function fillMirror(part, { name, sweep }) {
  setOutsideLink(part("mirror"), sweep?.mirror?.url ?? null);
  part("mirror").setAttribute("aria-label", `${name} in W&B`);
  setText(part("mirror-problem"), sweep?.mirror?.problem ?? "");
}

function describeObjectives(objectives) {
  return objectives.map(({ name, direction }) => `${direction} ${name}`).join(" · ");
}

function fillCounts(part, { counts, progress }) {
  const shown = { ...counts, left: countLeft(progress) };
  const row = part("bar").parentElement;
  for (const name of COUNTS) {
    const segment = row.querySelector(`[data-count="${name}"]`);
    segment.style.flexGrow = shown[name];
    segment.hidden = shown[name] === 0;
    const legend = row.querySelector(`[data-legend="${name}"]`);
    legend.hidden = shown[name] === 0;
    setText(legend, describeCount(shown, name));
  }
  setText(part("total"), describeTotal(counts, progress));
  const present = COUNTS.filter((name) => shown[name] > 0);
  const described = present.map((name) => describeCount(shown, name)).join(", ");
  part("bar").setAttribute("aria-label", described || "no trials yet");
}

function countLeft({ started, max_trials: most }) {
  return most === null ? 0 : Math.max(0, most - started);
}

/** Of a budget, what counts towards it: imported trials do not. */
function describeTotal(counts, { started, max_trials: most }) {
  if (most === null) {
    return counts.total.toLocaleString("en");
  }
  return `${started.toLocaleString("en")} / ${most.toLocaleString("en")}`;
}

function describeCount(counts, name) {
  return `${counts[name].toLocaleString("en")} ${COUNT_WORDS[name] ?? name}`;
}

function fillBest(part, { best, objectives }) {
  setText(part("best"), best === null ? "—" : shorten(best.value));
  part("best").title = best === null ? "" : String(best.value);
  setText(part("best-trial"), describeBest(best, objectives));
}

function describeBest(best, objectives) {
  if (best !== null) {
    return `trial ${best.number}`;
  }
  return objectives.length > 1 ? `${objectives.length} objectives` : "none complete";
}
