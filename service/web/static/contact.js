/** Whether the page is up to date, in the header. */

import { tellAges } from "./times.js";

const CONTACTS = {
  live: "live",
  lost: "connection lost, trying again",
  "signed-out": "signed out: run asktell login-link",
};

/** Takes what a `Poller` says of a round. */
export function showContact(contact) {
  tellAges();
  const header = document.getElementById("contact");
  if (header.dataset.contact !== contact) {
    header.dataset.contact = contact;
    header.querySelector(".text").textContent = CONTACTS[contact];
  }
}
