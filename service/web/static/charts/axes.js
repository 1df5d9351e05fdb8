/** What is around a chart: its size, axes, and round numbers along them. */

import { findTicks, scale } from "./scale.js";
import { make } from "./svg.js";
import { formatValue } from "../params.js";

const TOP = 24;
const BOTTOM = 30;
const RIGHT = 10;
const LETTER = 6;
const TICK_EVERY_PIXELS = { x: 90, y: 45 };

/**
 * Draws axes into an emptied `<svg>`, at the size that it has on the page.
 *
 * @param {{x: [number, number], y: [number, number]}} ranges what the chart shows
 * @param {{x: string, y: string}} names what is along them
 * @param {number} [beyond] how many values are at the edge, being beyond the range
 * @param {boolean} [isWhole] along x there are whole numbers only
 * @returns {{toX: (value: number) => number, toY: (value: number) => number}} places on the chart
 */
export function drawAxes(svg, { ranges, names, beyond = 0, isWhole = true }) {
  const { width, height } = measure(svg);
  const ticks = {
    x: chooseTicks(ranges.x, width / TICK_EVERY_PIXELS.x).filter(
      (at) => !isWhole || Number.isInteger(at),
    ),
    y: chooseTicks(ranges.y, height / TICK_EVERY_PIXELS.y),
  };
  const left = 12 + LETTER * Math.max(...ticks.y.map((tick) => formatValue(tick).length));
  const toX = scale(ranges.x, [left + 6, width - RIGHT - 6]);
  const toY = scale(ranges.y, [height - BOTTOM, TOP]);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren(
    ...ticks.y.flatMap((tick) => drawTickY(tick, toY(tick), { left, right: width - RIGHT })),
    ...ticks.x.map((tick) =>
      label(tick, { x: toX(tick), y: height - 14, "text-anchor": "middle" }),
    ),
    label(names.x, { x: width - RIGHT, y: height - 2, "text-anchor": "end" }),
    label(names.y, { x: 4, y: 10 }),
    ...(beyond === 0
      ? []
      : [label(`${beyond} beyond the edge`, { x: width - RIGHT, y: 10, "text-anchor": "end" })]),
  );
  return { toX, toY };
}

/** How large a chart is on the page, in pixels. */
export function measure(svg) {
  const { width, height } = svg.getBoundingClientRect();
  return { width: Math.max(160, Math.round(width)), height: Math.max(80, Math.round(height)) };
}

function chooseTicks(range, wanted) {
  return findTicks(range, Math.max(2, Math.round(wanted)));
}

function drawTickY(tick, y, { left, right }) {
  const line = { x1: left, x2: right, y1: y, y2: y, stroke: "var(--line)" };
  return [make("line", line), label(tick, { x: left - 6, y: y + 3, "text-anchor": "end" })];
}

function label(text, place) {
  const words = typeof text === "number" ? formatValue(text) : text;
  return make("text", { class: "axis", ...place }, [words]);
}
