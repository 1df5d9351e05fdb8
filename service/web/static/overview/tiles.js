/** The numbers at the top: what goes on everywhere, whatever the filter says. */

import { addUp } from "./listing.js";
import { getState } from "../states.js";
import { setText } from "../words.js";
import { sumSlots } from "./workers_lists.js";

/**
 * @param {{all: object[], isCut: boolean}} listed numbers of a list that is cut are lower bounds
 * @param {object[]} workers
 * @param {{number: number, isLeast: boolean}} recent failures
 */
export function showTiles({ all, isCut }, workers, recent) {
  const { busy, slots } = sumSlots(workers);
  const active = all.filter((study) => getState(study) === "active");
  show("running", describe(addUp(all, ({ counts }) => counts.running), isCut));
  show("active", describe(active.length, isCut));
  show("finished", describe(addUp(all, countFinished), isCut));
  show("slots", `${describe(busy, false)} / ${describe(slots, false)}`);
  show("failures", describe(recent.number, recent.isLeast || isCut));
  find("failures").classList.toggle("warns", recent.number > 0);
}

function find(name) {
  return document.querySelector(`[data-tile="${name}"]`);
}

function show(name, text) {
  setText(find(name).querySelector("b"), text);
}

function describe(number, isLeast) {
  return `${number.toLocaleString("en")}${isLeast ? "+" : ""}`;
}

function countFinished({ counts: { complete, pruned, fail } }) {
  return complete + pruned + fail;
}
