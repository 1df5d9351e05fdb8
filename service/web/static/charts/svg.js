/** The elements of charts; colours are attributes, for the pages allow no inline style. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * A new element of SVG.
 *
 * @param {object} attributes by name
 * @param {(Element | string)[]} children what it holds; a string becomes text
 */
export function make(tag, attributes = {}, children = []) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** What a chart says to whoever does not see it. */
export function setLabel(svg, label) {
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
}

/** The `points` of a line; a tenth of a pixel is fine enough. */
export function joinPoints(points) {
  return points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
}
