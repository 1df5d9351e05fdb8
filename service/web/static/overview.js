import { Poller } from "./polling.js";
import { StudiesTable } from "./studies_table.js";

const LIMIT = 200;
const TYPING_PAUSE_MS = 200;
const CONTACTS = {
  live: "live",
  lost: "connection lost, trying again",
  "signed-out": "signed out: run asktell login-link",
};

const find = (id) => document.getElementById(id);
const filter = find("filter");
const table = new StudiesTable(find("studies"), find("study"));
const poller = new Poller({ address, onAnswer: showStudies, onContact: showContact });

let typing = null;
filter.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => poller.refresh(), TYPING_PAUSE_MS);
});
poller.refresh();

function address() {
  const query = new URLSearchParams({ limit: LIMIT });
  if (filter.value !== "") {
    query.set("q", filter.value);
  }
  return `/studies?${query}`;
}

function showStudies({ studies, next_cursor: nextCursor }) {
  table.show(studies);
  const more = nextCursor !== null;
  find("totals").textContent = describeTotals(studies, more);
  find("more").hidden = !more;
  find("none-yet").hidden = studies.length > 0 || filter.value !== "";
  find("none-match").hidden = studies.length > 0 || filter.value === "";
}

function describeTotals(studies, more) {
  const running = studies.reduce((sum, study) => sum + study.counts.running, 0);
  const shown = more ? `first ${studies.length}` : String(studies.length);
  return running > 0 ? `${shown} · ${running.toLocaleString("en")} trials running` : shown;
}

function showContact(contact) {
  table.tellAges();
  const header = find("contact");
  if (header.dataset.contact !== contact) {
    header.dataset.contact = contact;
    header.querySelector(".text").textContent = CONTACTS[contact];
  }
}
