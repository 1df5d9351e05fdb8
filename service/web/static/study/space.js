/** What the trials of a study may be, and what its best one is. */

import { KeyedRows } from "../keyed_rows.js";
import { flattenParams, formatValue } from "../params.js";
import { getStudyUrl } from "./places.js";
import { setText } from "../words.js";

const LAWS = {
  float: "float",
  int: "integer",
  normal: "normal",
  log_normal: "log-normal",
  beta: "beta",
};

export class SpaceTable {
  #card;
  #rows;
  #study = null;
  #best = null;
  /** By the name of the parameter, what its newest trial was drawn from, in words. */
  #seen = new Map();

  constructor(card) {
    this.#card = card;
    this.#rows = new KeyedRows(card.querySelector("tbody"), document.getElementById("space-row"), {
      getKey: ({ name }) => name,
      fill: fillRow,
    });
  }

  /** @param {object} study @param {object | null} best its best trial, where there is one */
  show(study, best) {
    this.#study = study;
    this.#best = best;
    this.#refill();
  }

  /** @param {object[]} distributions from what parameters were drawn, as `/distributions` has it */
  showSeen(distributions) {
    const byNewest = distributions.toSorted((one, other) => getNewest(one) - getNewest(other));
    this.#seen = new Map(
      byNewest.map(({ name, distribution }) => [name, describeEntry(distribution)]),
    );
    if (this.#study !== null) {
      this.#refill();
    }
  }

  #refill() {
    const study = this.#study;
    const best = this.#best;
    const values = new Map(best === null ? [] : flattenParams(best.params));
    const declared = study.space === null ? [] : flattenSpace(study.space);
    // What Python, or running trials, declared is known from what they got.
    const known = new Set(declared.map(({ name }) => name));
    const names = new Set([...this.#seen.keys(), ...values.keys()]);
    const others = [...names]
      .filter((name) => !known.has(name))
      .sort()
      .map((name) => ({ name, words: this.#seen.get(name) ?? "as the code runs" }));
    const entries = [...declared, ...others];
    this.#rows.show(entries.map((entry) => ({ ...entry, value: values.get(entry.name) })));
    this.#card.hidden = false;
    this.#card.querySelector("table").hidden = entries.length === 0;
    setText(this.#part("best-heading"), best === null ? "" : `In the best trial, ${best.number}`);
    setText(this.#part("about"), describeOrigin(study));
    this.#part("python").hidden = study.python === null;
    this.#part("python").href = `${getStudyUrl(study.name)}/python`;
  }

  #part(name) {
    return this.#card.querySelector(`[data-part="${name}"]`);
  }
}

function describeOrigin({ space, python }) {
  if (space !== null) {
    return "";
  }
  return `declared ${python === null ? "as trials run" : "in Python"}; ranges as last seen`;
}

function getNewest({ trials }) {
  return trials.at(-1)[1];
}

function flattenSpace(space, prefix = "") {
  return Object.entries(space).flatMap(([name, entry]) =>
    isGroup(entry)
      ? flattenSpace(entry, `${prefix}${name}.`)
      : [{ name: prefix + name, words: describeEntry(entry) }],
  );
}

/** As docs/search-spaces.md says: any other object is a group. */
function isGroup(entry) {
  const isObject = entry instanceof Object && !Array.isArray(entry);
  const isDistribution = typeof entry?.type === "string" || isOfOptuna(entry);
  return isObject && !isDistribution && !("value" in entry);
}

function isOfOptuna(entry) {
  return typeof entry?.name === "string" && entry.attributes instanceof Object;
}

function describeEntry(entry) {
  if (!(entry instanceof Object) || Array.isArray(entry)) {
    return `always ${formatValue(entry)}`;
  }
  if ("value" in entry) {
    return `always ${formatValue(entry.value)}${describeCondition(entry)}`;
  }
  if (isOfOptuna(entry)) {
    return describeEntry(simplify(entry));
  }
  const law = entry.type === "categorical" ? describeChoices(entry) : describeLaw(entry);
  return `${law}${describeCondition(entry)}`;
}

/** Optuna's own form as ours, without what it says though nobody did. */
function simplify({ name, attributes: { step, ...attributes } }) {
  const type = name.replace(/Distribution$/, "").toLowerCase();
  const isUsual = step === undefined || (type === "int" && step === 1);
  return { ...attributes, ...(isUsual ? {} : { step }), type };
}

function describeChoices({ choices, probabilities = null }) {
  const described = choices.map((choice, index) =>
    probabilities === null
      ? formatValue(choice)
      : `${formatValue(choice)} (${probabilities[index]})`,
  );
  return `one of ${described.join(", ")}`;
}

function describeLaw({ type, low, high, log = false, when: _when, ...others }) {
  const range = low === undefined ? [] : [`from ${formatValue(low)} to ${formatValue(high)}`];
  const options = Object.entries(others)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name} ${formatValue(value)}`);
  return [LAWS[type] ?? type, ...range, ...(log ? ["by its logarithm"] : []), ...options].join(
    ", ",
  );
}

function describeCondition({ when }) {
  if (when === undefined || when === null) {
    return "";
  }
  const parts = Object.entries(when).map(
    ([name, values]) => `${name} is ${values.map(formatValue).join(" or ")}`,
  );
  return `, when ${parts.join(" and ")}`;
}

function fillRow(part, { name, words, value }) {
  setText(part("param"), name);
  setText(part("declared"), words);
  setText(part("best"), value === undefined ? "" : formatValue(value));
}
