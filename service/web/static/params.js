/** Parameters and other values in words. */

const DIGITS = 4;
const SMALL = 0.001;
const LARGE = 1e6;

/**
 * Parameters by name; those of groups with dots.
 *
 * @returns {[string, any][]}
 */
export function flattenParams(params, prefix = "") {
  return Object.entries(params).flatMap(([name, value]) =>
    isGroup(value) ? flattenParams(value, `${prefix}${name}.`) : [[prefix + name, value]],
  );
}

/**
 * "lr 3.1e-3 · depth 34": short enough to compare by eye.
 *
 * @param {number} [most] no more than the first ones
 */
export function describeParams(params, most = Infinity) {
  const described = flattenParams(params).map(([name, value]) => `${name} ${formatValue(value)}`);
  const more = described.length > most ? ["…"] : [];
  return [...described.slice(0, most), ...more].join(" · ");
}

/** Any JSON value as people write it; four digits of a number. */
export function formatValue(value) {
  if (typeof value === "number") {
    return formatNumber(value);
  }
  return typeof value === "string" ? value : JSON.stringify(value);
}

function isGroup(value) {
  return value instanceof Object && !Array.isArray(value);
}

function formatNumber(value) {
  if (Number.isInteger(value) && Math.abs(value) < LARGE) {
    return String(value);
  }
  const short = Number(value.toPrecision(DIGITS));
  const size = Math.abs(short);
  return size >= SMALL && size < LARGE ? String(short) : trim(short.toExponential(DIGITS - 1));
}

function trim(text) {
  return text.replace(/\.?0+e/, "e").replace("e+", "e");
}
