import { Question } from "../actions_question.js";
import { Refused, command, forgetSession, readSession } from "../commands.js";
import { showContact } from "../contact.js";
import { NewToken } from "./new_token.js";
import { Poller, Resource, Unanswered } from "../polling.js";
import { showRefusal } from "../refusal.js";
import { TokensTable, isGood } from "./table.js";
import { count, setText } from "../words.js";

const PAUSE_MS = 30_000;
const DAY_MS = 86_400_000;

const find = (id) => document.getElementById(id);
const form = find("make");
const resource = new Resource();
const table = new TokensTable(find("tokens"), find("token"), revoke);
const newToken = new NewToken(find("new"), () => form.elements.name.focus());
const question = new Question();
let isBusy = false;

form.addEventListener("submit", (event) => {
  event.preventDefault();
  make();
});
const poller = new Poller({ readAll, onContact: showContact, pauseMs: PAUSE_MS });
poller.refresh();

async function readAll(signal) {
  const isAdministrator = await mayAdminister();
  find("others").hidden = isAdministrator;
  ["made", "making", "by-command"].forEach((id) => {
    find(id).hidden = !isAdministrator;
  });
  if (isAdministrator) {
    const { tokens } = await resource.read("/tokens", signal);
    table.show(tokens);
    setText(find("tokens-total"), `${count(tokens.filter(isGood).length, "token")} valid`);
    find("tokens-none").hidden = tokens.length > 0;
  }
  return "live";
}

async function mayAdminister() {
  try {
    forgetSession();
    return (await readSession()).scope === "admin";
  } catch (error) {
    throw error instanceof Refused ? new Unanswered(error.status) : error;
  }
}

async function make() {
  const { name, scope, days } = Object.fromEntries(new FormData(form));
  const end = new Date(Date.now() + days * DAY_MS);
  const body = days === "" ? { name, scope } : { name, scope, expires_at: end.toISOString() };
  await tell("make-refusal", async () => {
    newToken.show(await command("POST", "/tokens", body));
    form.reset();
  });
}

async function revoke({ name }) {
  const isMeant = await question.ask({
    title: `Revoke ${name}?`,
    text: "Programs, workers and browsers that use it are refused from now on. This cannot be undone.",
    label: "Revoke",
  });
  if (isMeant) {
    const url = `/tokens/${encodeURIComponent(name)}`;
    await tell("refusal", async () => {
      await command("DELETE", url);
      // The button that has it is about to go.
      find("tokens-heading").focus();
    });
  }
}

/** Has it done, one thing at a time, and shows why not if the server refuses. */
async function tell(id, send) {
  if (isBusy) {
    return;
  }
  setText(find(id), "");
  setBusy(true);
  try {
    await send();
  } catch (error) {
    if (!(error instanceof Refused)) {
      throw error;
    }
    showRefusal(find(id), error);
  } finally {
    setBusy(false);
    poller.refresh();
  }
}

/** Not `disabled`, which would take the focus away from whoever just pressed it. */
function setBusy(isNowBusy) {
  isBusy = isNowBusy;
  form.querySelector("button").setAttribute("aria-disabled", String(isBusy));
}
