/** How far along a study is: one bar, and the same in words. */

import { setText } from "./words.js";

const COUNTS = ["complete", "pruned", "fail", "running", "waiting", "left"];
const COUNT_WORDS = { fail: "failed" };

/** Fills the bar and its legends, which are the parts of `container`. */
export function showCounts(container, { counts, progress }) {
  const shown = { ...counts, left: countLeft(progress) };
  const bar = container.querySelector('[data-part="bar"]');
  for (const name of COUNTS) {
    const segment = bar.querySelector(`[data-count="${name}"]`);
    segment.style.flexGrow = shown[name];
    segment.hidden = shown[name] === 0;
    const legend = container.querySelector(`[data-legend="${name}"]`);
    legend.hidden = shown[name] === 0;
    setText(legend, describeCount(shown, name));
  }
  setText(container.querySelector('[data-part="total"]'), describeTotal(counts, progress));
  const present = COUNTS.filter((name) => shown[name] > 0);
  const described = present.map((name) => describeCount(shown, name)).join(", ");
  bar.setAttribute("aria-label", described || "no trials yet");
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
