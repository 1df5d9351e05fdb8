/** A study's course in the space of a word: the best so far as a line, values as faint dots. */

import { buildSteps, findRange, scale } from "./scale.js";
import { joinPoints, make, setLabel } from "./svg.js";
import { shorten } from "../words.js";

const WIDTH = 120;
const HEIGHT = 28;
const EDGE = 3;

/**
 * Draws the answer of `GET /studies/{study}/history` into an `<svg>`, in place of what was there.
 *
 * Of several objectives, which have no best, only the first one's dots are drawn.
 */
export function drawSparkline(svg, { points, best }) {
  const values = points
    .filter(({ values }) => values !== null && Number.isFinite(values[0]))
    .map(({ number, values }) => ({ number, value: values[0] }));
  const steps = best.filter(({ value }) => Number.isFinite(value));
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  setLabel(svg, describe(values, steps));
  svg.replaceChildren(...(values.length === 0 ? [] : draw(values, steps)));
}

function draw(values, steps) {
  const last = Math.max(...values.map(({ number }) => number));
  const toX = scale([Math.min(0, last - 1), Math.max(last, 1)], [EDGE, WIDTH - EDGE]);
  const kept = steps.slice(-1).map(({ value }) => value);
  const range = findRange(
    values.map(({ value }) => value),
    kept,
  );
  const toY = scale(range, [HEIGHT - EDGE, EDGE]);
  const dots = values.map(({ number, value }) =>
    make("circle", { cx: toX(number).toFixed(1), cy: toY(value).toFixed(1), r: 1.1 }),
  );
  const line = { points: joinPoints(buildSteps(steps, last, { toX, toY })) };
  return [
    make("g", { fill: "var(--sub)", opacity: 0.45 }, dots),
    make("polyline", { ...line, fill: "none", stroke: "var(--accent)", "stroke-width": 1.6 }),
  ];
}

function describe(values, steps) {
  if (values.length === 0) {
    return "no values yet";
  }
  if (steps.length === 0) {
    return `${values.length} values`;
  }
  return `best so far, from ${shorten(steps[0].value)} to ${shorten(steps.at(-1).value)}`;
}
