/** The table of sweeps and studies. */

import { showActions } from "../actions.js";
import { showCounts } from "../counts_bar.js";
import { KeyedRows } from "../keyed_rows.js";
import { estimateLeft, measurePace } from "../pace.js";
import { describeParams } from "../params.js";
import { RowDetails } from "./row_details.js";
import { drawSparkline } from "../charts/sparkline.js";
import { getState } from "../states.js";
import { describeSystem, getStudyHref } from "../study/places.js";
import { describeSpan, setTime } from "../times.js";
import { describeStop, setOutsideLink, setState, setText, shorten } from "../words.js";

/** What matters most is on the study's page. */
const SHOWN_PARAMS = 3;
/** The history that each row's sparkline is of. */
const drawn = new WeakMap();
const NO_HISTORY = { points: [], best: [] };

export class StudiesTable {
  #rows;
  #details = new RowDetails(fillDetails);

  /**
   * @param {Element} body of the table
   * @param {() => void} refresh called when a button has changed something
   */
  constructor(body, template, refresh) {
    const fill = (part, study) => {
      fillRow(part, study);
      showActions(part("actions"), study, refresh);
      this.#details.note(part("name").closest("tr"), study);
    };
    this.#rows = new KeyedRows(body, template, { getKey: ({ name }) => name, fill });
  }

  /** Shows these studies, in this order. */
  show(studies) {
    this.#rows.show(studies);
  }

  /** Brings up to date what the lists do not say, where it is in sight. */
  refreshDetails() {
    this.#details.refresh();
  }
}

function fillRow(part, study) {
  setText(part("name"), study.name);
  part("name").title = study.name;
  part("name").href = getStudyHref(study.name);
  setText(part("kind"), describeKind(study));
  part("kind").title = describeKind(study);
  setState(part("state"), getState(study));
  setText(part("stop-reason"), describeStop(study.stop_reason));
  fillMirror(part, study);
  showCounts(part("counts"), study);
  part("bar").title = part("bar").getAttribute("aria-label");
  fillBest(part, study);
  setTime(part("activity"), study.last_activity_at);
}

/** "wandb · maximize accuracy"; of a mere study just what it is to reach. */
function describeKind({ objectives, sweep }) {
  const goals = objectives.map(({ name, direction }) => `${direction} ${name}`);
  return [...(sweep === undefined ? [] : [sweep.executor]), ...goals].join(" · ");
}

function fillMirror(part, { name, sweep }) {
  const system = describeSystem(sweep?.executor ?? "");
  setOutsideLink(part("mirror"), sweep?.mirror?.url ?? null);
  setText(part("mirror"), `${system} ↗`);
  part("mirror").setAttribute("aria-label", `${name} in ${system}`);
  setText(part("mirror-problem"), sweep?.mirror?.problem ?? "");
}

function fillBest(part, { name, best, objectives }) {
  part("best").hidden = best === null;
  part("no-best").hidden = best !== null;
  if (best !== null) {
    setText(part("best"), shorten(best.value));
    part("best").title = String(best.value);
    part("best").href = getStudyHref(name, best.number);
    part("best").setAttribute("aria-label", `${shorten(best.value)}, trial ${best.number}`);
  }
  const several = `${objectives.length} objectives`;
  setText(part("no-best"), objectives.length > 1 ? several : "none complete");
}

function fillDetails(row, study, { history, best }) {
  const part = (name) => row.querySelector(`[data-part="${name}"]`);
  const isBest = best !== null && best.number === study.best?.number;
  setText(part("params"), isBest ? describeParams(best.params, SHOWN_PARAMS) : "");
  part("params").title = isBest ? describeParams(best.params) : "";
  const pace = history === null ? null : measurePace(history, study.created_at);
  const seconds = estimateLeft(study, pace);
  setText(part("left"), seconds === null ? "—" : describeSpan(seconds));
  if (drawn.get(row) !== history) {
    drawn.set(row, history);
    drawSparkline(part("spark"), history ?? NO_HISTORY);
  }
}
