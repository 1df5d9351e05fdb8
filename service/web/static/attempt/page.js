import { showContact } from "../contact.js";
import { LogView } from "./log_view.js";
import { describeParams } from "../params.js";
import { Poller, Resource, Unanswered, fetchJson, fetchText } from "../polling.js";
import { getStudyHref, getTrialUrl } from "../study/places.js";
import { formatDuration } from "../times.js";
import { describeExit, setOutsideLink, setState, setText } from "../words.js";

const PART_BYTES = 262_144;

const find = (id) => document.getElementById(id);
const main = document.querySelector("main");
const part = (name) => main.querySelector(`[data-part="${name}"]`);
const study = encodeURIComponent(main.dataset.study);
const attemptAddress = `/sweeps/${study}/attempts/${encodeURIComponent(main.dataset.attempt)}`;
const attemptResource = new Resource();
const log = new LogView(find("log"), (follows) => {
  find("to-end").hidden = follows;
});
let logEnd = 0;
let shownState = null;

find("to-end").addEventListener("click", () => {
  log.scrollToEnd();
  find("log").focus();
});
part("study").href = getStudyHref(main.dataset.study);
const poller = new Poller({ readAll, onContact: showContact });
poller.refresh();

async function readAll(signal) {
  try {
    const attempt = await attemptResource.read(attemptAddress, signal);
    showAttempt(attempt);
    await readLog(signal);
    if (attempt.state !== shownState) {
      showTrial(await fetchJson(getUrlOfParams(attempt), signal));
      shownState = attempt.state;
    }
    find("gone").hidden = true;
  } catch (error) {
    if (!(error instanceof Unanswered && error.status === 404)) {
      throw error;
    }
    find("gone").hidden = false;
  }
  return "live";
}

function getUrlOfParams({ trial }) {
  return getTrialUrl(main.dataset.study, trial, ["params"]);
}

/** All there is by now, in parts: nobody waits for a megabyte before the first line shows. */
async function readLog(signal) {
  for (let isMore = true; isMore; ) {
    const url = `${attemptAddress}/log?offset=${logEnd}&limit_bytes=${PART_BYTES}`;
    const { text, headers } = await fetchText(url, { headers: { Accept: "text/plain" }, signal });
    const start = Number(headers.get("Asktell-Log-Start"));
    const end = Number(headers.get("Asktell-Log-End"));
    isMore = end > logEnd;
    if (isMore) {
      showLog(text, { start, end });
    }
  }
  find("log-empty").hidden = logEnd > 0;
}

function showLog(text, { start, end }) {
  if (start > logEnd) {
    find("log-cut").hidden = false;
  }
  logEnd = end;
  log.append(text);
  setText(find("log-size"), `${Math.ceil(end / 1024).toLocaleString("en")} KiB printed`);
}

function showAttempt(attempt) {
  setText(part("trial"), `trial ${attempt.trial}`);
  part("trial").href = getStudyHref(main.dataset.study, attempt.trial);
  setText(part("attempt"), `· attempt ${attempt.attempt}`);
  setState(part("state"), attempt.state);
  part("state").hidden = false;
  setText(part("reason"), attempt.reason ?? "");
  part("reason").hidden = attempt.reason === null;
  setText(part("note"), attempt.note ?? "");
  part("note").hidden = attempt.note === null;
  setOutsideLink(part("page"), attempt.url);
  setText(part("page"), attempt.external_ref ?? attempt.url ?? "");
  part("outside").hidden = part("page").hidden;
  setText(part("worker"), [attempt.worker, attempt.host].filter(Boolean).join(" on ") || "—");
  setText(part("started"), new Date(attempt.claimed_at).toLocaleString());
  setText(part("took"), formatDuration(attempt.claimed_at, attempt.ended_at));
  setText(part("exit"), describeExit(attempt) ?? "—");
}

function showTrial({ params }) {
  setText(part("params"), describeParams(params) || "none");
}
