/** From values to places on a chart. */

const FEWEST_TO_TRIM = 4;
const FENCE = 5;
const MARGIN = 0.04;

/**
 * The range that shows most values well: one diverged trial must not make a flat line of the rest.
 *
 * @param {number[]} values finite, at least one
 * @param {number[]} [kept] are inside the range whatever the others are
 * @returns {[number, number]} the lower and the upper end, never equal
 */
export function findRange(values, kept = []) {
  const inner = trim(values.toSorted((one, other) => one - other));
  return widen(Math.min(inner[0], ...kept), Math.max(inner.at(-1), ...kept));
}

/** How many values are drawn at the edge of a chart because they are beyond its range. */
export function countBeyond(values, [low, high]) {
  return values.filter((value) => value < low || value > high).length;
}

/** A function from one range to another, and its ends for what is beyond. */
export function scale([low, high], [start, end]) {
  return (value) => {
    // Halves, as the whole from the lowest to the highest number is none.
    const share = (value / 2 - low / 2) / (high / 2 - low / 2);
    return start + Math.min(1, Math.max(0, share)) * (end - start);
  };
}

/** Round numbers within a range, about as many as asked for. */
export function findTicks([low, high], wanted = 4) {
  const step = Math.min(roundStep(high / wanted - low / wanted), Number.MAX_VALUE);
  const first = Math.ceil(low / step);
  const count = Math.floor(high / step) - first + 1;
  return Array.from({ length: count }, (_, index) =>
    Number(((first + index) * step).toPrecision(12)),
  );
}

/**
 * The corners of a line that stays at each best value until the next one.
 *
 * @param {{number: number, value: number}[]} steps the improvements, by number
 * @param {number} last where the line ends
 */
export function buildSteps(steps, last, { toX, toY }) {
  return steps.flatMap(({ number, value }, index) => {
    const end = steps[index + 1]?.number ?? Math.max(last, number);
    return [
      [toX(number), toY(value)],
      [toX(end), toY(value)],
    ];
  });
}

/** Without those that are further from the middle half than several times its width. */
function trim(sorted) {
  const last = sorted.length - 1;
  const [low, high] = [sorted[Math.ceil(last / 4)], sorted[Math.floor((last * 3) / 4)]];
  const reach = (high - low) * FENCE;
  if (sorted.length < FEWEST_TO_TRIM || reach === 0) {
    return sorted;
  }
  return sorted.filter((value) => value >= low - reach && value <= high + reach);
}

function widen(low, high) {
  const room = high * MARGIN - low * MARGIN || Math.abs(low) * MARGIN || 1;
  const { MAX_VALUE } = Number;
  return [Math.max(low - room, -MAX_VALUE), Math.min(high + room, MAX_VALUE)];
}

function roundStep(step) {
  const power = 10 ** Math.floor(Math.log10(step));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= step * 0.75);
}
