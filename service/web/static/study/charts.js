/** The charts of a study: read when somebody may see something new, drawn as wide as they are. */

import { drawCurves } from "../charts/curves.js";
import { drawFront, drawHistory } from "../charts/history.js";
import { Resource } from "../polling.js";
import { getStudyHref, getStudyUrl } from "./places.js";
import { setText } from "../words.js";

const POINTS = 400;
const MOST_RINGED = 1000;
const CURVES = 40;
const CURVE_POINTS = 100;

export class StudyCharts {
  #element;
  #onWidth;
  #historyResource = new Resource();
  #curvesResource = new Resource();
  #study = null;
  #history = null;
  #frontResource = new Resource();
  #front = [];
  #curves = [];

  /** @param {() => void} onWidth called when the width has changed and these are drawn anew */
  constructor(element, onWidth) {
    this.#element = element;
    this.#onWidth = onWidth;
    new ResizeObserver(() => this.#redraw()).observe(element);
  }

  /** Takes what the study is now. */
  note(study) {
    this.#study = study;
    this.#element.hidden = false;
  }

  /** @returns {Promise<object>} the history, of which more is made elsewhere */
  async readHistory(signal) {
    const url = `${getStudyUrl(this.#study.name)}/history?points=${POINTS}`;
    this.#history = await this.#historyResource.read(url, signal);
    this.#drawHistory();
    return this.#history;
  }

  /** Of several objectives. @returns {Promise<number>} how many trials are on the front */
  async readFront(signal) {
    const url = `${getStudyUrl(this.#study.name)}/pareto?fields=number&fields=values`;
    const { trials } = await this.#frontResource.read(url, signal);
    this.#front = trials.map((trial) => ({ ...trial, state: "COMPLETE" }));
    this.#drawHistory();
    return this.#front.length;
  }

  async readCurves(signal) {
    const query = `trials=${CURVES}&points=${CURVE_POINTS}`;
    const url = `${getStudyUrl(this.#study.name)}/curves?${query}`;
    this.#curves = (await this.#curvesResource.read(url, signal)).curves;
    this.#drawCurves();
  }

  #redraw() {
    this.#drawHistory();
    this.#drawCurves();
    this.#onWidth();
  }

  #drawHistory() {
    if (this.#history === null) {
      return;
    }
    const { objectives } = this.#study;
    const svg = this.#show("history");
    const around = this.#getAround(svg);
    const isDrawn =
      objectives.length === 1
        ? drawHistory(svg, this.#history, objectives[0], around)
        : drawFront(svg, this.#divideTrials(), objectives, around);
    this.#hide("history", isDrawn);
    this.#describeHistory();
  }

  /** The history is a sample, of which few are on the front: that comes from elsewhere, whole. */
  #divideTrials() {
    const numbers = new Set(this.#front.map(({ number }) => number));
    return {
      others: this.#history.points.filter(({ number }) => !numbers.has(number)),
      front: thinFront(this.#front),
      size: numbers.size,
    };
  }

  #describeHistory() {
    const { objectives } = this.#study;
    const { points, n_finished: finished } = this.#history;
    const what =
      objectives.length === 1
        ? "each trial's value, best so far"
        : describeFront(objectives, this.#front.length);
    const sample =
      points.length < finished ? ` · ${points.length} of ${finished.toLocaleString("en")}` : "";
    setText(this.#element.querySelector('[data-part="history-about"]'), `${what}${sample}`);
  }

  #drawCurves() {
    if (this.#study === null) {
      return;
    }
    const svg = this.#show("curves");
    const name = this.#study.objectives.map((objective) => objective.name).join(", ");
    this.#hide("curves", drawCurves(svg, this.#curves, name, this.#getAround(svg)));
    const { length } = this.#curves;
    const about = length === CURVES ? `the newest ${CURVES}` : "";
    setText(this.#element.querySelector('[data-part="curves-about"]'), about);
  }

  /** The chart, in sight: what is hidden has no size to draw in. */
  #show(id) {
    const svg = this.#element.querySelector(`#${id}`);
    svg.removeAttribute("hidden");
    return svg;
  }

  #hide(id, isDrawn) {
    const svg = this.#element.querySelector(`#${id}`);
    svg.toggleAttribute("hidden", !isDrawn);
    svg.parentElement.querySelector(".keys").hidden = !isDrawn;
    this.#element.querySelector(`#${id}-none`).hidden = isDrawn;
  }

  #getAround(svg) {
    const { name } = this.#study;
    const keys = svg.parentElement.querySelector(".keys");
    return { keys, getHref: (number) => getStudyHref(name, number) };
  }
}

/** All of it, or trials spread evenly over the first objective: more marks than that are a blot. */
function thinFront(front) {
  if (front.length <= MOST_RINGED) {
    return front;
  }
  const ordered = front.toSorted((one, other) => one.values[0] - other.values[0]);
  const step = (front.length - 1) / (MOST_RINGED - 1);
  return Array.from({ length: MOST_RINGED }, (_, index) => ordered[Math.round(index * step)]);
}

function describeFront(objectives, size) {
  const which = objectives.length > 2 ? "the first two objectives, " : "";
  const ringed =
    size > MOST_RINGED
      ? `${MOST_RINGED.toLocaleString("en")} of ${size.toLocaleString("en")} on the`
      : "the";
  return `${which}${ringed} Pareto front ringed`;
}
