/** Learning curves: what trials reported, step by step. */

import { drawAxes } from "./axes.js";
import { describeState, linkTrial, paintLine, showKeys } from "./marks.js";
import { countBeyond, findRange } from "./scale.js";
import { joinPoints, make, setLabel } from "./svg.js";
import { shorten } from "../words.js";

const ORDER = ["RUNNING", "COMPLETE", "PRUNED", "FAIL"];

/**
 * @param {object[]} curves as `GET /studies/{study}/curves` answers them; may be the curve of one
 * @param {string} name of what was reported
 * @param {{keys?: Element, getHref?: (number: number) => string}} around the legend, and where the
 *   trials are; without, there is none, and they lead nowhere
 * @returns {boolean} whether there was anything to draw
 */
export function drawCurves(svg, curves, name, { keys = null, getHref = null } = {}) {
  const finite = curves.map(keepFinite).filter(({ points }) => points.length > 0);
  if (finite.length === 0) {
    return false;
  }
  const points = finite.flatMap((curve) => curve.points);
  const steps = points.map(([step]) => step);
  const [first, last] = [
    steps.reduce((a, b) => Math.min(a, b)),
    steps.reduce((a, b) => Math.max(a, b)),
  ];
  const values = points.map(([, value]) => value);
  const ranges = {
    x: [first, Math.max(last, first + 1)],
    // Of one trial everything is shown; of many, what a few of them did must not flatten the rest.
    y: findRange(values, finite.length === 1 ? values : []),
  };
  const beyond = countBeyond(values, ranges.y);
  const places = drawAxes(svg, { ranges, names: { x: "step", y: name }, beyond });
  // What runs, and what is complete, is drawn over what was pruned.
  const ordered = finite.toSorted((one, other) => getRank(other) - getRank(one));
  const lines = ordered.map((curve) => drawCurve(curve, places));
  svg.append(...lines.map((line, index) => link(line, ordered[index], getHref)));
  setLabel(svg, `${name} by step, of ${describeCount(finite.length)}`);
  if (keys !== null) {
    const states = new Set(finite.map(({ state }) => state));
    showKeys(
      keys,
      ORDER.filter((state) => states.has(state)),
      { areLines: true },
    );
  }
  return true;
}

/** A curve with one point is a dot; one that runs ends in one. */
function drawCurve({ state, points }, { toX, toY }) {
  const places = points.map(([step, value]) => [toX(step), toY(value)]);
  const line = make("polyline", {
    class: "curve",
    points: joinPoints(places),
    ...paintLine(state),
  });
  if (places.length > 1 && state !== "RUNNING") {
    return line;
  }
  const [cx, cy] = places.at(-1).map((place) => place.toFixed(1));
  return make("g", {}, [line, make("circle", { cx, cy, r: 3, fill: paintLine(state).stroke })]);
}

function link(line, curve, getHref) {
  return getHref === null ? line : linkTrial(getHref(curve.number), describeCurve(curve), line);
}

function keepFinite({ points, ...curve }) {
  return { ...curve, points: points.filter(([, value]) => Number.isFinite(value)) };
}

function getRank({ state }) {
  return ORDER.indexOf(state);
}

function describeCurve({ number, state, points }) {
  const [step, value] = points.at(-1);
  return `trial ${number}, ${describeState(state)}: ${shorten(value)} at step ${step}`;
}

function describeCount(number) {
  return number === 1 ? "one trial" : `${number} trials`;
}
