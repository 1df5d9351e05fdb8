/** Pause, resume, stop and cancel: the buttons of a study or a sweep, those that make sense. */

import { Question } from "./actions_question.js";
import { Refused, command, mayWrite } from "./commands.js";
import { showRefusal } from "./refusal.js";
import { count, setText } from "./words.js";

/** The reasons to have ended for which resuming is all there is to do. */
const RESUMABLE = new Set(["stopped", "cancelled", "refused"]);
const SESSION_PAUSE_MS = 10000;
const COMMANDS = {
  pause: { label: "Pause", makesSense: ({ state }) => state === "active" },
  resume: { label: "Resume", makesSense: canResume },
  stop: {
    label: "Stop",
    makesSense: ({ state }) => state === "active" || state === "paused",
    ask: ({ name, counts }) => ({
      title: `Stop ${name}?`,
      text: `No new trials will be started.${describeRunning(counts, "may finish")}`,
    }),
  },
  cancel: {
    label: "Cancel",
    makesSense: ({ state, sweep }) => sweep !== undefined && isOpen(state, sweep),
    ask: ({ name, counts }) => ({
      title: `Cancel ${name}?`,
      text: `No new trials will be started.${describeRunning(counts, "will be ended and fail")}`,
    }),
  },
};

const shown = new WeakMap();
let question = null;
let asked = { answer: null, at: -Infinity };

/**
 * Shows the buttons in `container`, and keeps them up to date whenever it is called again.
 *
 * Nothing is shown to who may not use them. Where a button ends something, it asks first.
 *
 * @param {HTMLElement} container holds nothing else
 * @param {object} study as `GET /studies` or `GET /sweeps` lists it
 * @param {() => void} refresh called when the server has done something
 */
export function showActions(container, study, refresh) {
  if (!shown.has(container)) {
    shown.set(container, new Actions(container));
  }
  shown.get(container).show(study, refresh);
}

class Actions {
  #container;
  #study = null;
  #refresh = null;
  #buttons = {};
  #refusal = document.createElement("span");
  #isBusy = false;

  constructor(container) {
    this.#container = container;
    this.#container.classList.add("actions");
    this.#container.hidden = true;
    for (const [action, { label, ask }] of Object.entries(COMMANDS)) {
      this.#buttons[action] = buildButton(label, { endsSomething: ask !== undefined });
      this.#buttons[action].addEventListener("click", () => this.#press(action));
    }
    this.#refusal.className = "refusal";
    this.#refusal.setAttribute("role", "alert");
    this.#container.append(...Object.values(this.#buttons), this.#refusal);
  }

  async show(study, refresh) {
    if (this.#study?.name !== study.name) {
      setText(this.#refusal, "");
    }
    this.#study = study;
    this.#refresh = refresh;
    this.#showButtons();
    this.#container.hidden = !(await isAllowed());
  }

  #showButtons() {
    const focused = Object.values(this.#buttons).find((each) => each === document.activeElement);
    for (const [action, button] of Object.entries(this.#buttons)) {
      button.hidden = !COMMANDS[action].makesSense(this.#study);
      button.setAttribute("aria-label", `${COMMANDS[action].label} ${this.#study.name}`);
      // Not `disabled`, which would take the focus away from whoever just pressed it.
      button.setAttribute("aria-disabled", String(this.#isBusy));
    }
    if (focused?.hidden) {
      Object.values(this.#buttons)
        .find((each) => !each.hidden)
        ?.focus();
    }
  }

  async #press(action) {
    const { ask, label } = COMMANDS[action];
    if (this.#isBusy) {
      return;
    }
    if (ask !== undefined) {
      question ??= new Question();
      const isMeant = await question.ask({ ...ask(this.#study), label });
      if (!isMeant || this.#isBusy) {
        return;
      }
    }
    await this.#do(action);
  }

  async #do(action) {
    const { name, sweep } = this.#study;
    const collection = sweep === undefined ? "studies" : "sweeps";
    this.#setBusy(true);
    try {
      await command("POST", `/${collection}/${encodeURIComponent(name)}/${action}`);
      setText(this.#refusal, "");
      this.#refresh();
    } catch (error) {
      if (!(error instanceof Refused)) {
        throw error;
      }
      showRefusal(this.#refusal, error);
    } finally {
      this.#setBusy(false);
    }
  }

  #setBusy(isBusy) {
    this.#isBusy = isBusy;
    this.#container.setAttribute("aria-busy", String(isBusy));
    this.#showButtons();
  }
}

function buildButton(label, { endsSomething }) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = label;
  button.classList.toggle("danger", endsSomething);
  return button;
}

function canResume({ state, stop_reason: reason }) {
  return state === "paused" || (state !== "active" && RESUMABLE.has(reason));
}

/** Whether a sweep has something left that could be cancelled. */
function isOpen(state, sweep) {
  return state !== "finished" && sweep.state !== "cancelled";
}

function describeRunning({ running }, fate) {
  return running === 0 ? "" : ` ${count(running, "running trial")} ${fate}.`;
}

/** Whether whoever is logged in may press them; a server that did not say is asked again. */
async function isAllowed() {
  const isStale = performance.now() - asked.at > SESSION_PAUSE_MS;
  if (isStale && (await asked.answer) === null) {
    asked = { answer: askSession(), at: performance.now() };
  }
  return (await asked.answer) === true;
}

/** null: nobody knows. */
async function askSession() {
  try {
    return await mayWrite();
  } catch (error) {
    if (error instanceof Refused) {
      return null;
    }
    throw error;
  }
}
