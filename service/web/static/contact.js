/** Whether the page is up to date, in the header. */

import { tellAges } from "./times.js";

const CONTACTS = {
  live: "live",
  partial: "live, but for a part that the server did not answer; trying again",
  failing: "the server did not answer as it should, trying again",
  lost: "connection lost, trying again",
};

/** Takes what a `Poller` says of a round. */
export function showContact(contact) {
  tellAges();
  const header = document.getElementById("contact");
  if (header.dataset.contact !== contact) {
    header.dataset.contact = contact;
    header.querySelector(".text").replaceChildren(CONTACTS[contact] ?? buildLoginLink());
  }
}

/** Leads back here afterwards. */
export function buildLoginLink() {
  const link = document.createElement("a");
  const here = location.pathname + location.search;
  link.href = `/login?${new URLSearchParams({ next: here })}`;
  link.textContent = "signed out: log in";
  return link;
}
