import { AttemptLists } from "./attempt_lists.js";
import { AttemptsWatch } from "./attempts_watch.js";
import { showContact } from "./contact.js";
import { Poller, Resource } from "./polling.js";
import { buildStudiesTable } from "./studies_table.js";
import { count, setText } from "./words.js";
import { WorkersLists, sumSlots } from "./workers_lists.js";

const LIMIT = 200;
const TYPING_PAUSE_MS = 200;
const OVER = new Set(["finished", "failed", "cancelled"]);

const find = (id) => document.getElementById(id);
const filter = find("filter");
const resources = {
  studies: new Resource(),
  sweeps: new Resource(),
  active: new Resource(),
  workers: new Resource(),
};
const tables = {
  studies: buildStudiesTable(find("studies"), find("study")),
  sweeps: buildStudiesTable(find("sweeps"), find("study")),
};
const watch = new AttemptsWatch();
const attemptLists = new AttemptLists();
const workersLists = new WorkersLists();
let shown = {};

const poller = new Poller({ readAll, onContact: showContact });
let typing = null;
filter.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => poller.refresh(), TYPING_PAUSE_MS);
});
poller.refresh();

async function readAll(signal) {
  const query = buildQuery();
  // Before the sweeps: a sweep is a study too, and never shown as a mere one for a moment. Both
  // lists are by name and as long, so that whatever is a sweep here is among the sweeps.
  const studies = await resources.studies.read(`/studies?${query}`, signal);
  const [sweeps, active, { workers }] = await Promise.all([
    resources.sweeps.read(`/sweeps?${query}`, signal),
    resources.active.read(`/sweeps?state=active&limit=${LIMIT}`, signal),
    resources.workers.read("/workers", signal),
  ]);
  const attempts = await watch.read(sweeps.sweeps, signal);
  if (studies !== shown.studies || sweeps !== shown.sweeps) {
    shown = { studies, sweeps };
    showSweeps(sweeps);
    showStudies(studies, new Set(sweeps.sweeps.map((sweep) => sweep.name)));
  }
  attemptLists.show(sweeps.sweeps, attempts);
  workersLists.show(workers, active.sweeps);
  setText(find("summary"), describeAll(active, workers));
}

function buildQuery() {
  const query = new URLSearchParams({ limit: LIMIT });
  if (filter.value !== "") {
    query.set("q", filter.value);
  }
  return query;
}

function showSweeps({ sweeps, next_cursor: nextCursor }) {
  const isOver = ({ sweep }) => OVER.has(sweep.state);
  // What goes on comes first, both parts by name as they are listed.
  tables.sweeps.show([...sweeps.filter((each) => !isOver(each)), ...sweeps.filter(isOver)]);
  showTotal("sweeps", sweeps, nextCursor);
  const filtered = filter.value !== "";
  find("sweeps-none-yet").hidden = sweeps.length > 0 || filtered;
  find("sweeps-none-match").hidden = sweeps.length > 0 || !filtered;
}

function showStudies({ studies, next_cursor: nextCursor }, sweepNames) {
  const others = studies.filter((study) => !sweepNames.has(study.name));
  tables.studies.show(others);
  showTotal("studies", others, nextCursor);
  const filtered = filter.value !== "";
  find("studies-none-yet").hidden = studies.length > 0 || filtered;
  find("studies-only-sweeps").hidden = !(studies.length > 0 && others.length === 0);
  find("studies-none-match").hidden = studies.length > 0 || !filtered;
}

function showTotal(noun, listed, nextCursor) {
  const more = nextCursor !== null;
  find(`${noun}-more`).hidden = !more;
  find(noun).closest("table").hidden = listed.length === 0;
  setText(find(`${noun}-total`), describeTotal(listed, more));
}

function describeTotal(studies, more) {
  const running = studies.reduce((sum, study) => sum + study.counts.running, 0);
  const listed = more ? `first ${studies.length}` : String(studies.length);
  return running > 0 ? `${listed} · ${count(running, "trial")} running` : listed;
}

function describeAll({ sweeps, next_cursor: nextCursor }, workers) {
  const { busy, slots } = sumSlots(workers);
  const active = nextCursor === null ? "" : "more than ";
  const described = `${active}${count(sweeps.length, "sweep")} active`;
  return `${described} · ${busy} of ${count(slots, "slot")} busy`;
}
