/** All there is of one trial, above the table; its address can be shared. */

import { drawCurves } from "../charts/curves.js";
import { flattenParams, formatValue } from "../params.js";
import { Resource, Unanswered, fetchJson } from "../polling.js";
import { AttemptItems } from "./attempts.js";
import { showPairs } from "./pairs.js";
import { getStudyHref, getStudyUrl, getTrialUrl } from "./places.js";
import { describeTook, describeTrouble } from "./trial_rows.js";
import { count, setState, setText, shorten } from "../words.js";

const OVER = new Set(["COMPLETE", "PRUNED", "FAIL"]);
const POINTS = 500;
/** All but its reports, which may be thousands. */
const FIELDS = [
  "state",
  "params",
  "values",
  "user_attrs",
  "constraints",
  "attempt",
  "phase",
  "reason",
  "started_at",
  "finished_at",
];
const PHASES = { queued: "waits for another attempt", expired: "lost" };

export class TrialDetails {
  #card;
  #attempts;
  #number = null;
  #trial = null;
  #reportsResource = new Resource();
  /** With the state that it had when they were read. */
  #reports = null;
  #study = null;

  constructor(card) {
    this.#card = card;
    this.#attempts = new AttemptItems(this.#part("attempts"));
  }

  /** Which trial is shown; null: none. */
  get number() {
    return this.#number;
  }

  /** Whether there is no need to read the trial again, as it has ended. */
  get isOver() {
    return this.#trial !== null && OVER.has(this.#trial.state);
  }

  /** Whether there is a trial that had not ended when its reports were read last. */
  get wantsReports() {
    return this.#trial !== null && !OVER.has(this.#reports?.state);
  }

  /** Opens the card for a trial, which is then to be read; null closes it. */
  open(number, name) {
    this.#number = number;
    this.#trial = null;
    this.#reports = null;
    this.#card.hidden = number === null;
    this.#part("body").hidden = true;
    this.#part("missing").hidden = true;
    this.#part("state").hidden = true;
    setText(this.#part("phase"), "");
    if (number !== null) {
      setText(this.#part("heading"), `Trial ${number}`);
      this.#showNeighbours(number, name);
    }
  }

  /** Brings it into sight, and there whoever reads by ear or keyboard. */
  focus() {
    this.#card.scrollIntoView({ block: "nearest" });
    this.#part("heading").focus({ preventScroll: true });
  }

  /** Reads and shows the open one, but for its reports. */
  async read(study, signal) {
    const number = this.#number;
    this.#study = study;
    const trial = await readTrial(study.name, number, signal);
    const attempts =
      study.sweep === undefined ? [] : await readAttempts(study.name, number, signal);
    if (number === this.#number) {
      this.#show(trial, attempts);
    }
  }

  /** Reads and draws what the open one has reported. */
  async readReports(study, signal) {
    const { state } = this.#trial;
    const number = this.#number;
    const url = `${getStudyUrl(study.name)}/curves?number=${number}&points=${POINTS}`;
    const { curves } = await this.#reportsResource.read(url, signal);
    if (number === this.#number) {
      this.#reports = { state, points: curves[0]?.points ?? [] };
      this.#showReports();
    }
  }

  /** Draws the curve anew: the card is as wide as the window. */
  redraw() {
    if (this.#trial !== null) {
      this.#showReports();
    }
  }

  #show(trial, attempts) {
    this.#trial = trial;
    this.#card.hidden = false;
    this.#part("missing").hidden = trial !== null;
    this.#part("body").hidden = trial === null;
    this.#part("state").hidden = trial === null;
    if (trial === null) {
      setText(this.#part("missing"), `There is no trial ${this.#number} in this study.`);
      return;
    }
    setState(this.#part("state"), trial.state.toLowerCase());
    setText(this.#part("phase"), trial.state === "RUNNING" ? (PHASES[trial.phase] ?? "") : "");
    const trouble = describeTrouble(trial);
    this.#part("reason").hidden = trouble === "";
    setText(this.#part("reason"), trouble);
    showPairs(this.#part("facts"), listFacts(trial, this.#study.objectives));
    this.#showParams(trial);
    this.#showReports();
    this.#part("attempts-box").hidden = attempts.length === 0;
    this.#attempts.show(attempts, this.#study, { isOfOneTrial: true });
  }

  #showParams({ params, user_attrs: userAttrs }) {
    const pairs = flattenParams(params).map(([name, value]) => [name, formatExact(value)]);
    const attrs = Object.entries(userAttrs).map(([name, value]) => [name, formatExact(value)]);
    showPairs(this.#part("params"), pairs);
    showPairs(this.#part("attrs"), attrs);
    this.#part("no-params").hidden = pairs.length > 0;
    this.#part("attrs-box").hidden = attrs.length === 0;
  }

  #showReports() {
    const { state, points } = this.#reports ?? { points: [] };
    const curve = { number: this.#number, state, points };
    const name = this.#study.objectives.map((objective) => objective.name).join(", ");
    this.#part("reports-box").hidden = points.length === 0;
    // What is hidden has no size to draw in.
    this.#part("reports").removeAttribute("hidden");
    const isDrawn = points.length > 0 && drawCurves(this.#part("reports"), [curve], name);
    this.#part("reports").toggleAttribute("hidden", !isDrawn);
    setText(this.#part("reports-about"), points.length === 0 ? "" : describeReports(points));
  }

  #showNeighbours(number, name) {
    for (const [part, neighbour] of [
      ["previous", number - 1],
      ["next", number + 1],
    ]) {
      const link = this.#part(part);
      link.hidden = neighbour < 0;
      link.href = getStudyHref(name, neighbour);
      setText(this.#part(`${part}-name`), String(neighbour));
      link.setAttribute("aria-label", `Trial ${neighbour}`);
    }
  }

  #part(name) {
    return this.#card.querySelector(name === "heading" ? "h2" : `[data-part="${name}"]`);
  }
}

async function readTrial(name, number, signal) {
  try {
    return await fetchJson(getTrialUrl(name, number, FIELDS), signal);
  } catch (error) {
    if (error instanceof Unanswered && (error.status === 404 || error.status === 422)) {
      return null;
    }
    throw error;
  }
}

async function readAttempts(name, number, signal) {
  const url = `/sweeps/${encodeURIComponent(name)}/attempts?trial=${number}&limit=20`;
  return (await fetchJson(url, signal)).attempts;
}

function listFacts(trial, objectives) {
  const values = objectives.map(({ name }, index) => [
    name,
    formatExact(trial.values?.[index] ?? "—"),
  ]);
  const constraints = Object.entries(trial.constraints ?? {});
  return [
    ...values,
    ...constraints.map(([name, value]) => [
      name,
      `${shorten(value)} (${value <= 0 ? "satisfied" : "violated"})`,
    ]),
    ["Attempt", trial.attempt === 0 ? "none yet" : String(trial.attempt)],
    ["Began", describeMoment(trial.started_at)],
    ["Ended", describeMoment(trial.finished_at)],
    ["Took", describeTook(trial) || "—"],
  ];
}

function describeMoment(moment) {
  return moment === null ? "—" : new Date(moment).toLocaleString();
}

function describeReports(points) {
  const [step, value] = points.at(-1);
  const number = points.length < POINTS ? `${count(points.length, "point")}, ` : "";
  return `${number}the last ${shorten(value)} at step ${step}`;
}

/** Here there is room for all digits. */
function formatExact(value) {
  return typeof value === "number" ? String(value) : formatValue(value);
}
