/** The head of the page: what the study is, how far it is, and how it goes about it. */

import { showActions } from "../actions.js";
import { showCounts } from "../counts_bar.js";
import { estimateLeft } from "../pace.js";
import { formatValue } from "../params.js";
import { describeSystem, getStudyHref, getStudyUrl } from "./places.js";
import { describeSpan, setTime } from "../times.js";
import { count, describeStop, setOutsideLink, setState, setText, shorten } from "../words.js";

const MAIN_ARGUMENTS = 3;
const TIME = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", hour12: false });
const DAY = new Intl.DateTimeFormat("en", { day: "numeric", month: "short" });

export class StudyHeader {
  #card;

  constructor(card) {
    this.#card = card;
  }

  /** Links that depend on the name alone. */
  showLinks(name) {
    const address = getStudyUrl(name);
    this.#part("csv").href = `${address}/export?format=csv`;
    this.#part("json").href = `${address}/export?format=json`;
    // Without optuna-dashboard there is no such link.
    this.#part("dashboard")?.setAttribute(
      "href",
      `/ui/dashboard?study=${encodeURIComponent(name)}`,
    );
  }

  /** @param {object} study as its address answers @param {() => void} refresh after a command */
  show(study, refresh) {
    const { name, sweep } = study;
    setState(this.#part("state"), sweep?.state ?? study.state);
    this.#part("state").hidden = false;
    setText(this.#part("stop-reason"), describeStop(study.stop_reason));
    showActions(this.#part("actions"), study, refresh);
    showCounts(this.#part("counts"), study);
    this.#showBest(study);
    this.#showComponent("sampler", study.sampler, [`seed ${study.seed}`]);
    this.#showComponent("pruner", study.pruner, []);
    this.#showExecutor(study);
    this.#showMirror(name, sweep);
    setTime(this.#part("activity"), study.last_activity_at);
    this.#part("when").hidden = false;
    this.#card.querySelector(".elsewhere").hidden = false;
    this.#card.querySelector(".study-facts").hidden = false;
  }

  /** There is no such study, for now. */
  hide() {
    this.#part("state").hidden = true;
    this.#part("actions").hidden = true;
    this.#part("mirror-problem").hidden = true;
    this.#part("when").hidden = true;
    setText(this.#part("stop-reason"), "");
    this.#card.querySelector(".elsewhere").hidden = true;
    this.#card.querySelector(".study-facts").hidden = true;
  }

  /** @param {number | null} pace seconds a trial, as measured */
  showLeft(study, pace) {
    const seconds = estimateLeft(study, pace);
    setText(this.#part("left"), seconds === null ? "—" : describeSpan(seconds));
    setText(
      this.#part("left-about"),
      seconds === null ? explainNoEstimate(study) : describeEnd(seconds),
    );
  }

  /** How many trials are on the Pareto front of several objectives. */
  showFront(size) {
    setText(this.#part("best"), size === 0 ? "—" : count(size, "trial"));
    setText(
      this.#part("best-about"),
      size === 0 ? "none complete" : "none of them beaten by another",
    );
  }

  #showBest({ name, best, objectives }) {
    const link = this.#part("best-trial");
    setText(this.#part("best-name"), describeBestName(objectives));
    link.hidden = best === null;
    if (best !== null) {
      setText(this.#part("best"), shorten(best.value));
      setText(link, `trial ${best.number}`);
      link.href = getStudyHref(name, best.number);
    } else if (objectives.length === 1) {
      setText(this.#part("best"), "—");
      setText(this.#part("best-about"), "none complete");
    }
  }

  /** Of the best trial: what it took. */
  showBestParams(described) {
    setText(this.#part("best-about"), described);
  }

  #showComponent(part, component, others) {
    setText(this.#part(part), component === null ? "none" : describeType(component.type));
    const args = Object.entries(component?.args ?? {})
      .filter(isTelling)
      .sort(compareTelling);
    const described = [...args.map(describeArgument), ...others];
    const about = this.#part(`${part}-about`);
    setText(about, [...described.slice(0, MAIN_ARGUMENTS), ...others].filter(isFirst).join(" · "));
    about.title = described.join(" · ");
  }

  #showExecutor({ sweep, parallelism }) {
    const atATime = parallelism === null ? "any number at a time" : `${parallelism} at a time`;
    setText(this.#part("executor"), sweep?.executor ?? "clients ask");
    const program = sweep?.launch.program;
    const queue = sweep === undefined || sweep.queue === "default" ? null : `queue ${sweep.queue}`;
    setText(this.#part("executor-about"), [program, atATime, queue].filter(Boolean).join(" · "));
  }

  #showMirror(name, sweep) {
    const link = this.#part("mirror");
    const mirror = sweep?.mirror ?? null;
    setOutsideLink(link, mirror?.url ?? null);
    setText(link, sweep === undefined ? "" : `${describeSystem(sweep.executor)} ↗`);
    link.setAttribute("aria-label", `${name} in ${link.textContent.replace(" ↗", "")}`);
    const problem = this.#part("mirror-problem");
    problem.hidden = (mirror?.problem ?? null) === null;
    setText(problem, problem.hidden ? "" : `${describeSystem(sweep.executor)}: ${mirror.problem}`);
  }

  #part(name) {
    return this.#card.querySelector(`[data-part="${name}"]`);
  }
}

function describeBestName(objectives) {
  return objectives.length === 1 ? `Best ${objectives[0].name}` : "Pareto front";
}

function describeType(type) {
  return type
    .split(".")
    .at(-1)
    .replace(/(?<=.)(Sampler|Pruner)$/, "");
}

/** What is off, or left to the type, says little. */
function isTelling([, value]) {
  return value !== null && value !== false;
}

/** What is switched on says more than a number. */
function compareTelling([, one], [, other]) {
  return Number(other === true) - Number(one === true);
}

function describeArgument([name, value]) {
  const words = name.replace(/^n_/, "").replaceAll("_", " ");
  return value === true ? words : `${words} ${formatValue(value)}`;
}

function isFirst(word, index, words) {
  return words.indexOf(word) === index;
}

function describeEnd(seconds) {
  const end = new Date(Date.now() + seconds * 1000);
  const isToday = end.toDateString() === new Date().toDateString();
  return `ends about ${isToday ? "" : `${DAY.format(end)}, `}${TIME.format(end)}`;
}

function explainNoEstimate({ state, progress }) {
  if (state === "finished" || state === "paused") {
    return "";
  }
  return progress.max_trials === null ? "no limit of trials" : "too few have ended to tell";
}
