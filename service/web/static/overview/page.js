import { AttemptLists } from "./attempt_lists.js";
import { AttemptsWatch } from "./attempts_watch.js";
import { showContact } from "../contact.js";
import { Listing } from "./listing.js";
import { Poller, Resource, settle } from "../polling.js";
import { StudiesTable } from "./studies_table.js";
import { showTiles } from "./tiles.js";
import { setText } from "../words.js";
import { WorkersLists } from "./workers_lists.js";

const TYPING_PAUSE_MS = 200;

const find = (id) => document.getElementById(id);
const filter = find("filter");
const listing = new Listing();
const workersResource = new Resource();
const watch = new AttemptsWatch();
const table = new StudiesTable(find("studies"), find("study"), () => poller.refresh());
const attemptLists = new AttemptLists();
const workersLists = new WorkersLists();
let shown = null;

const poller = new Poller({ readAll, onContact: showContact });
let typing = null;
filter.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => poller.refresh(), TYPING_PAUSE_MS);
});
find("origin").textContent = location.origin;
poller.refresh();

async function readAll(signal) {
  const [listed, { workers }] = await Promise.all([
    listing.read(filter.value.trim(), signal),
    workersResource.read("/workers", signal),
  ]);
  showStudies(listed);
  table.refreshDetails();
  workersLists.show(workers, listed.all);
  return settle([readAttempts(listed, workers, signal)]);
}

async function readAttempts(listed, workers, signal) {
  const attempts = await watch.read(listed.all, signal);
  attemptLists.show(listed.all, attempts);
  showTiles(listed, workers, attempts.recent);
}

function showStudies(listed) {
  if (listed === shown) {
    return;
  }
  shown = listed;
  const { all, found, isFoundCut } = listed;
  table.show(found);
  setText(find("studies-total"), describeTotal(listed));
  find("studies-table").hidden = found.length === 0;
  find("studies-none-yet").hidden = all.length > 0;
  find("activity").hidden = all.length === 0;
  find("studies-none-match").hidden = all.length === 0 || found.length > 0;
  find("studies-more").hidden = !isFoundCut;
}

function describeTotal({ all, isCut, found }) {
  if (all.length === 0) {
    return "";
  }
  const total = `${all.length.toLocaleString("en")}${isCut ? "+" : ""}`;
  return found.length === all.length ? total : `${found.length.toLocaleString("en")} of ${total}`;
}
