/** Which parameters matter: computed for whoever looks at it, and not often. */

import { KeyedRows } from "../keyed_rows.js";
import { Unanswered } from "../polling.js";
import { getStudyUrl } from "./places.js";
import { Section } from "./section.js";
import { count, setText } from "../words.js";

const PATIENCE_MS = 60000;
const PAUSE_MS = 30000;
const FEWEST_COMPLETE = 2;

export class Importances {
  #card;
  #rows;
  #select;
  #section = new Section({ pauseMs: PAUSE_MS, read: () => this.#read() });
  #isInSight = false;
  #isUnderWay = false;
  #study = null;
  #version = null;

  constructor(card) {
    this.#card = card;
    this.#select = card.querySelector("select");
    this.#rows = new KeyedRows(card.querySelector("ol"), document.getElementById("importance"), {
      getKey: ({ name }) => name,
      fill: fillRow,
    });
    this.#select.addEventListener("change", () => this.#startAnew());
    new IntersectionObserver(([{ isIntersecting }]) => {
      this.#isInSight = isIntersecting;
      this.#start();
    }).observe(card);
  }

  /** Takes what the study is now. Nobody waits for what this may start: it can take seconds. */
  refresh(study, version) {
    this.#study = study;
    this.#version = version;
    this.#showObjectives(study.objectives);
    this.#start();
  }

  #startAnew() {
    this.#section.forget();
    this.#start();
  }

  async #start() {
    if (this.#isUnderWay || !this.#isInSight || this.#study === null) {
      return;
    }
    this.#isUnderWay = true;
    try {
      await this.#section.refresh(this.#version);
    } catch (error) {
      if (!(error instanceof Unanswered)) {
        throw error;
      }
      this.#explain("They could not be computed just now; this page tries again.");
    } finally {
      this.#isUnderWay = false;
    }
  }

  #showObjectives(objectives) {
    this.#select.hidden = objectives.length === 1;
    if (this.#select.options.length !== objectives.length) {
      this.#select.replaceChildren(...objectives.map(({ name }) => new Option(name, name)));
    }
  }

  async #read() {
    const { name, counts, objectives } = this.#study;
    if (counts.complete < FEWEST_COMPLETE) {
      const there = counts.complete === 1 ? "is one" : "is none";
      this.#explain(`It takes two complete trials to tell; there ${there}.`);
      return;
    }
    const wanted = objectives.length === 1 ? {} : { objective: this.#select.value };
    const url = `${getStudyUrl(name)}/importances?${new URLSearchParams(wanted)}`;
    const { status, document } = await fetchDocument(url);
    if (status === 200) {
      this.#show(document.importances, counts.complete);
    } else if (status === 422) {
      this.#explain(document.detail);
    } else {
      throw new Unanswered(status);
    }
  }

  #show(importances, complete) {
    const rated = Object.entries(importances).map(([name, share]) => ({ name, share }));
    this.#rows.show(rated);
    this.#card.querySelector("ol").hidden = rated.length === 0;
    setText(this.#part("why-not"), describeBasis(rated, complete));
  }

  #explain(words) {
    this.#rows.show([]);
    this.#card.querySelector("ol").hidden = true;
    setText(this.#part("why-not"), words);
  }

  #part(name) {
    return this.#card.querySelector(`[data-part="${name}"]`);
  }
}

function describeBasis(rated, complete) {
  return rated.length === 0
    ? "No parameter is in every trial."
    : `Of ${count(complete, "complete trial")}, by PED-ANOVA.`;
}

/** As `fetchText`, but a refusal's words are wanted as well. */
async function fetchDocument(url) {
  try {
    const response = await fetch(url, {
      headers: { Accept: "application/json" },
      cache: "no-store",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    return { status: response.status, document: await response.json() };
  } catch {
    throw new Unanswered(null);
  }
}

function fillRow(part, { name, share }) {
  setText(part("param"), name);
  part("param").title = name;
  setText(part("share"), share.toFixed(2));
  part("param").parentElement.querySelector("i").style.width = `${(share * 100).toFixed(1)}%`;
}
