/** How the values of trials went: over their numbers, or against each other. */

import { drawAxes } from "./axes.js";
import { drawMark, describeState, linkTrial, showKeys } from "./marks.js";
import { buildSteps, countBeyond, findRange } from "./scale.js";
import { joinPoints, make, setLabel } from "./svg.js";
import { shorten } from "../words.js";

const ORDER = ["COMPLETE", "PRUNED", "FAIL"];

/**
 * Values by number and the best so far.
 *
 * @param {SVGElement} svg
 * @param {object} history the answer of `GET /studies/{study}/history`
 * @param {object} objective the only one
 * @param {{keys: Element, getHref: (number: number) => string}} around the legend, and where trials are
 * @returns {boolean} whether there was anything to draw
 */
export function drawHistory(svg, { points, best }, objective, { keys, getHref }) {
  const values = points.filter(({ values }) => Number.isFinite(values?.[0]));
  const steps = best.filter(({ value }) => Number.isFinite(value));
  if (values.length === 0) {
    return false;
  }
  const numbers = points.map(({ number }) => number);
  const last = Math.max(...numbers);
  const kept = steps.slice(-1).map(({ value }) => value);
  const ranges = {
    x: [Math.min(...numbers), Math.max(last, Math.min(...numbers) + 1)],
    y: findRange(
      values.map((point) => point.values[0]),
      kept,
    ),
  };
  const beyond = countBeyond(points.map(readValue), ranges.y);
  const { toX, toY } = drawAxes(svg, { ranges, names: { x: "trial", y: objective.name }, beyond });
  const lowest = toY(ranges.y[0]);
  const marks = points.map((point) =>
    linkTrial(getHref(point.number), describePoint(point), drawPoint(point, { toX, toY, lowest })),
  );
  const line = { points: joinPoints(buildSteps(steps, last, { toX, toY })), class: "best-line" };
  svg.append(make("polyline", line), ...marks);
  setLabel(svg, describeHistory(values, steps, objective));
  showKeys(keys, findStates(points), { areLines: false });
  return true;
}

/**
 * The first two of several objectives against each other, the Pareto front ringed.
 *
 * @param {SVGElement} svg
 * @param {{others: object[], front: object[], size: number}} trials points of a history that are
 *   not on the front, and those to draw that are: complete trials with their values; `size` is how
 *   many there are
 * @param {object[]} objectives of which the first two are drawn
 */
export function drawFront(svg, { others, front, size }, objectives, { keys, getHref }) {
  const best = new Set(front);
  const values = [...others, ...front].filter(isDrawable);
  if (values.length === 0) {
    return false;
  }
  const ranges = {
    x: findRange(values.map((point) => point.values[0])),
    y: findRange(values.map((point) => point.values[1])),
  };
  const names = { x: describeObjective(objectives[0]), y: describeObjective(objectives[1]) };
  const isBeyond = ({ values: [x, y] }) =>
    countBeyond([x], ranges.x) + countBeyond([y], ranges.y) > 0;
  const beyond = values.filter(isBeyond).length;
  const { toX, toY } = drawAxes(svg, { ranges, names, beyond, isWhole: false });
  const marks = values.map((point) => {
    const [x, y] = [toX(point.values[0]), toY(point.values[1])];
    const mark = drawMark(point.state, x, y);
    const ring = { cx: x.toFixed(1), cy: y.toFixed(1), r: 6.5, class: "front" };
    const group = best.has(point) ? make("g", {}, [make("circle", ring), mark]) : mark;
    const title = `${describePoint(point)}${best.has(point) ? ", on the Pareto front" : ""}`;
    return linkTrial(getHref(point.number), title, group);
  });
  svg.append(...marks);
  setLabel(svg, `${values.length} trials by ${names.x} and ${names.y}; ${size} on the front`);
  showKeys(keys, findStates(values), { areLines: false });
  return true;
}

/** Failed trials have no value: they are at the foot. */
function drawPoint(point, { toX, toY, lowest }) {
  const value = readValue(point);
  return drawMark(point.state, toX(point.number), Number.isNaN(value) ? lowest : toY(value));
}

/** Infinities come as words. */
function readValue({ values }) {
  return Number(values?.[0] ?? NaN);
}

function isDrawable({ state, values }) {
  return state === "COMPLETE" && values?.slice(0, 2).every(Number.isFinite);
}

function describePoint({ number, state, values }) {
  const value = values === null ? "" : `: ${values.map(shorten).join(", ")}`;
  return `trial ${number}${value}, ${describeState(state)}`;
}

function describeObjective({ name, direction }) {
  return `${name} (${direction})`;
}

function describeHistory(values, steps, { name }) {
  const best = steps.at(-1);
  const words =
    best === undefined ? "none complete" : `best ${shorten(best.value)} in trial ${best.number}`;
  return `${name} of ${values.length} trials, ${words}`;
}

function findStates(points) {
  const present = new Set(points.map(({ state }) => state));
  return ORDER.filter((state) => present.has(state));
}
