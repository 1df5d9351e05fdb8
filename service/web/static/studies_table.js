/**
 * The table of studies. A refresh writes only what differs, so focus, selection and scroll
 * position stay where they are.
 */

const COUNTS = ["complete", "pruned", "fail", "running", "waiting"];
const COUNT_WORDS = { fail: "failed" };
const STATES = {
  active: "● active",
  paused: "‖ paused",
  stopping: "◌ stopping",
  finished: "✓ finished",
};
const STOP_REASONS = {
  stopped: "somebody stopped it",
  max_trials: "its trials are used up",
  max_seconds: "its time is over",
  max_failures: "too many trials failed in a row",
  target: "its target is reached",
  patience: "no better trial for too long",
  exhausted: "its sampler has tried everything",
};
const AGES = [
  [60, 1, "second"],
  [3600, 60, "minute"],
  [86400, 3600, "hour"],
  [Infinity, 86400, "day"],
];
const JUST_NOW_SECONDS = 5;

export class StudiesTable {
  #body;
  #template;
  #rows = new Map();
  #age = new Intl.RelativeTimeFormat("en", { style: "narrow" });

  constructor(body, template) {
    this.#body = body;
    this.#template = template;
  }

  /** Shows exactly these studies, in this order (which must not change between calls). */
  show(studies) {
    this.#removeAllBut(new Set(studies.map((study) => study.name)));
    studies.forEach((study, position) => {
      const row = this.#rows.get(study.name) ?? this.#insertRow(study.name, position);
      fillRow(row, study);
    });
    this.tellAges();
  }

  /** Brings "2m ago" up to date, which goes stale while nothing else changes. */
  tellAges() {
    for (const time of this.#body.querySelectorAll("time")) {
      setText(time, this.#formatAge((Date.now() - Date.parse(time.dateTime)) / 1000));
    }
  }

  #removeAllBut(names) {
    for (const [name, row] of this.#rows) {
      if (!names.has(name)) {
        row.remove();
        this.#rows.delete(name);
      }
    }
  }

  #insertRow(name, position) {
    const row = this.#template.content.firstElementChild.cloneNode(true);
    this.#body.insertBefore(row, this.#body.children[position] ?? null);
    this.#rows.set(name, row);
    return row;
  }

  #formatAge(seconds) {
    if (seconds < JUST_NOW_SECONDS) {
      return "just now";
    }
    const [, unitSeconds, unit] = AGES.find(([limit]) => seconds < limit);
    return this.#age.format(-Math.floor(seconds / unitSeconds), unit);
  }
}

function fillRow(row, study) {
  const part = (name) => row.querySelector(`[data-part="${name}"]`);
  fillName(part("name"), study.name);
  setText(part("objectives"), describeObjectives(study.objectives));
  setText(part("state"), STATES[study.state] ?? study.state);
  part("state").dataset.state = study.state;
  part("state").title = STOP_REASONS[study.stop_reason] ?? "";
  fillCounts(row, part, study);
  fillBest(part, study);
  part("activity").dateTime = study.last_activity_at;
  part("activity").title = new Date(study.last_activity_at).toLocaleString();
}

function fillName(element, name) {
  setText(element, name);
  element.title = name;
  if (element instanceof HTMLAnchorElement) {
    element.href = `/ui/dashboard?study=${encodeURIComponent(name)}`;
  }
}

function describeObjectives(objectives) {
  return objectives.map(({ name, direction }) => `${direction} ${name}`).join(" · ");
}

function fillCounts(row, part, { counts, progress }) {
  const present = COUNTS.filter((name) => counts[name] > 0);
  for (const name of COUNTS) {
    const segment = row.querySelector(`[data-count="${name}"]`);
    segment.style.flexGrow = counts[name];
    segment.hidden = counts[name] === 0;
    const legend = row.querySelector(`[data-legend="${name}"]`);
    legend.hidden = counts[name] === 0;
    setText(legend, describeCount(counts, name));
  }
  setText(part("total"), describeTotal(counts, progress));
  const described = present.map((name) => describeCount(counts, name)).join(", ");
  part("bar").setAttribute("aria-label", described || "no trials yet");
}

/** Of a budget, what counts towards it: imported trials do not. */
function describeTotal(counts, { started, max_trials: most }) {
  if (most === null) {
    return counts.total.toLocaleString("en");
  }
  return `${started.toLocaleString("en")} / ${most.toLocaleString("en")}`;
}

function describeCount(counts, name) {
  return `${counts[name].toLocaleString("en")} ${COUNT_WORDS[name] ?? name}`;
}

function fillBest(part, { best, objectives }) {
  setText(part("best"), best === null ? "—" : shorten(best.value));
  part("best").title = best === null ? "" : String(best.value);
  setText(part("best-trial"), describeBest(best, objectives));
}

function describeBest(best, objectives) {
  if (best !== null) {
    return `trial ${best.number}`;
  }
  return objectives.length > 1 ? `${objectives.length} objectives` : "none complete";
}

/** Six digits are enough to compare by eye; infinities arrive as words. */
function shorten(value) {
  return typeof value === "number" ? String(Number(value.toPrecision(6))) : value;
}

function setText(element, text) {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}
