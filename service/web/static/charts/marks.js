/** The marks of trials on charts: each state has a shape of its own, not only a colour. */

import { make } from "./svg.js";

const COLORS = {
  COMPLETE: "var(--complete)",
  PRUNED: "var(--pruned)",
  FAIL: "var(--fail)",
  RUNNING: "var(--running)",
  WAITING: "var(--waiting)",
};
const SHAPES = {
  COMPLETE: { d: "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0" },
  PRUNED: { d: "M0-4 4 0 0 4-4 0z", isHollow: true },
  FAIL: { d: "M-3-3 3 3M3-3-3 3", isHollow: true },
};
const DASHES = { PRUNED: "5 3", FAIL: "1.5 3" };
const WORDS = { COMPLETE: "complete", PRUNED: "pruned", FAIL: "failed", RUNNING: "running" };

/** What a state is called. */
export function describeState(state) {
  return WORDS[state] ?? state.toLowerCase();
}

/** The mark of a finished trial. */
export function drawMark(state, x, y) {
  const { d, isHollow = false } = SHAPES[state];
  const place = { transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` };
  const paint = isHollow
    ? { fill: "none", stroke: COLORS[state], "stroke-width": 1.5 }
    : { fill: COLORS[state], "fill-opacity": 0.75 };
  return make("path", { class: "mark", d, ...place, ...paint });
}

/** How the line of a trial is drawn. */
export function paintLine(state) {
  const dashes = state in DASHES ? { "stroke-dasharray": DASHES[state] } : {};
  const width = state === "RUNNING" ? 2 : 1.2;
  return { fill: "none", stroke: COLORS[state], "stroke-width": width, ...dashes };
}

/**
 * Makes a part of a chart lead to its trial. Keyboards have the table for that: hundreds of links
 * would be in their way.
 */
export function linkTrial(href, title, mark) {
  return make("a", { href, tabindex: -1 }, [make("title", {}, [title]), mark]);
}

/** Says what the marks, or the lines, of these states mean. */
export function showKeys(list, states, { areLines }) {
  const names = [...states].sort().join();
  if (list.dataset.states !== names) {
    list.dataset.states = names;
    const drawKey = areLines ? drawLineKey : drawMarkKey;
    list.replaceChildren(...[...states].map((state) => buildKey(drawKey(state), state)));
  }
}

function buildKey(mark, state) {
  const item = document.createElement("li");
  const picture = make("svg", { viewBox: "0 0 20 12", "aria-hidden": "true" }, [mark]);
  item.append(picture, describeState(state));
  return item;
}

function drawMarkKey(state) {
  return drawMark(state, 10, 6);
}

function drawLineKey(state) {
  return make("line", { x1: 1, x2: 19, y1: 6, y2: 6, ...paintLine(state) });
}
