import { showContact } from "../contact.js";
import { measurePace } from "../pace.js";
import { describeParams } from "../params.js";
import { Poller, fetchJson, settle } from "../polling.js";
import { StudyCharts } from "./charts.js";
import { StudyHeader } from "./header.js";
import { Importances } from "./importances.js";
import { followTrialLinks, goTo, readTrialNumber } from "./navigation.js";
import { getStudyHref, getStudyUrl, getTrialUrl } from "./places.js";
import { Section } from "./section.js";
import { showSettings } from "./settings.js";
import { StudySource } from "./source.js";
import { SpaceTable } from "./space.js";
import { SweepParts } from "./sweep.js";
import { TrialDetails } from "./trial.js";
import { TrialsTable } from "./trials.js";

const SOON_MS = 2000;
const SELDOM_MS = 5000;
const RARELY_MS = 10000;

const find = (id) => document.getElementById(id);
const { study: name } = find("study").dataset;
// A browser makes folders of them, whatever is done to them in an address.
const isReachable = name !== "." && name !== "..";
const source = new StudySource(name);
const header = new StudyHeader(document.querySelector("main > .card"));
const details = new TrialDetails(find("trial"));
const charts = new StudyCharts(document.querySelector(".charts"), () => details.redraw());
const importances = new Importances(find("matters"));
const sweepParts = new SweepParts(find("sweep"));
const trials = new TrialsTable(find("trials"), readTrialsAnew);
const space = new SpaceTable(find("space"));
let study = null;
let historyShown = null;

const sections = {
  history: new Section({ pauseMs: SELDOM_MS, read: readHistory }),
  front: new Section({ pauseMs: RARELY_MS, read: readFront }),
  curves: new Section({ pauseMs: SELDOM_MS, read: (signal) => charts.readCurves(signal) }),
  attempts: new Section({
    pauseMs: SOON_MS,
    read: (signal) => sweepParts.readAttempts(study, signal),
  }),
  workers: new Section({
    pauseMs: RARELY_MS,
    read: (signal) => sweepParts.readWorkers(study, signal),
  }),
  trials: new Section({ pauseMs: SOON_MS, read: (signal) => trials.read(signal) }),
  trial: new Section({ pauseMs: SOON_MS, read: (signal) => details.read(study, signal) }),
  reports: new Section({
    pauseMs: SOON_MS,
    read: (signal) => details.readReports(study, signal),
  }),
  best: new Section({ pauseMs: 0, read: readBest }),
  space: new Section({ pauseMs: RARELY_MS, read: readSpace }),
};
const poller = new Poller({ readAll, onContact: showContact });

header.showLinks(name);
followTrialLinks(name, openTrial);
find("jump").addEventListener("submit", jump);
find("trial").querySelector("[data-part=close]").addEventListener("click", closeTrial);
openTrial(readTrialNumber(), "moved");

function readNow() {
  poller.refresh();
}

function readTrialsAnew() {
  sections.trials.pauseMs = trials.pauseMs;
  sections.trials.forget();
  readNow();
}

async function readAll(signal) {
  find("study-unreachable").hidden = isReachable;
  find("study-loading").hidden = true;
  if (!isReachable) {
    return "live";
  }
  study = await source.read(signal);
  find("study-gone").hidden = study !== null;
  if (study === null) {
    hideAll();
    return "live";
  }
  showStudy();
  importances.refresh(study, describeResults());
  return settle([...listRefreshes(signal)]);
}

/** Differs after every trial that has ended: nothing else is in some parts. */
function describeResults() {
  const { complete, pruned, fail } = study.counts;
  return JSON.stringify([study.created_at, complete, pruned, fail, study.best]);
}

function* listRefreshes(signal) {
  const version = `${study.created_at} ${study.revision}`;
  yield sections.trials.refresh(version, signal);
  yield sections.history.refresh(describeResults(), signal);
  yield sections.curves.refresh(version, signal);
  yield sections.best.refresh(`${study.created_at} ${study.best?.number}`, signal);
  if (study.space === null) {
    yield sections.space.refresh(version, signal);
  }
  if (study.objectives.length > 1) {
    yield sections.front.refresh(describeResults(), signal);
  }
  if (details.number !== null) {
    yield refreshTrial(version, signal);
  }
  if (sweepParts.isShown) {
    yield sections.attempts.refresh(version, signal);
    // They come and go without the study knowing.
    yield sections.workers.refresh(performance.now(), signal);
  }
}

async function refreshTrial(version, signal) {
  if (!details.isOver) {
    await sections.trial.refresh(version, signal);
  }
  if (details.wantsReports) {
    await sections.reports.refresh(version, signal);
  }
}

function showStudy() {
  header.show(study, readNow);
  header.showLeft(
    study,
    historyShown === null ? null : measurePace(historyShown, study.created_at),
  );
  charts.note(study);
  sweepParts.note(study);
  trials.note(study);
  showSettings(find("settings"), study);
}

function hideAll() {
  [...find("study").children].slice(1).forEach((part) => {
    part.hidden = true;
  });
  Object.values(sections).forEach((section) => section.forget());
  header.hide();
}

async function readHistory(signal) {
  historyShown = await charts.readHistory(signal);
  header.showLeft(study, measurePace(historyShown, study.created_at));
}

async function readFront(signal) {
  header.showFront(await charts.readFront(signal));
}

/** Its parameters say more than its number. */
async function readBest(signal) {
  const best = study.best === null ? null : await fetchJson(getBestUrl(), signal);
  space.show(study, best);
  if (best !== null) {
    header.showBestParams(describeParams(best.params));
  }
}

/** What no space declares is known from the trials alone. */
async function readSpace(signal) {
  const { distributions } = await fetchJson(`${getStudyUrl(name)}/distributions`, signal);
  space.showSeen(distributions);
}

function getBestUrl() {
  return getTrialUrl(name, study.best.number, ["params"]);
}

function jump(event) {
  event.preventDefault();
  const { value } = event.target.elements.number;
  goTo(new URL(getStudyHref(name, Number(value)), location.href), openTrial);
}

function closeTrial() {
  history.pushState(null, "", getStudyHref(name));
  details.open(null, name);
  find("trials-heading").focus();
}

/** Whoever pressed a link is led there; a page that opens stays at its beginning. */
function openTrial(number, reason) {
  details.open(number, name);
  sections.trial.forget();
  sections.reports.forget();
  if (number !== null && reason === "pressed") {
    details.focus();
  }
  readNow();
}
