/** What only a sweep has: attempts at work, trials that wait for a slot, and workers on it. */

import { KeyedRows } from "../keyed_rows.js";
import { fetchJson } from "../polling.js";
import { OPEN_ATTEMPTS, getWorkerState, isOver } from "../states.js";
import { AttemptItems } from "./attempts.js";
import { formatDuration, setTime } from "../times.js";
import { count, setState, setText } from "../words.js";

const SHOWN = 50;

export class SweepParts {
  #element;
  #attempts;
  #workers;
  /** How many of the attempts that are at work each worker has. */
  #busy = new Map();
  #known = [];

  constructor(element) {
    this.#element = element;
    this.#attempts = new AttemptItems(element.querySelector("#running"));
    this.#workers = new KeyedRows(
      element.querySelector("#workers"),
      document.getElementById("worker-item"),
      {
        getKey: ({ id }) => id,
        fill: (part, worker) => fillWorker(part, worker, this.#busy.get(worker.id)),
      },
    );
  }

  /** Shows them while something may run. */
  note(study) {
    const { sweep } = study;
    const isAtWork = sweep !== undefined && (!isOver(study) || countOpen(sweep) > 0);
    this.#element.hidden = !isAtWork;
  }

  get isShown() {
    return !this.#element.hidden;
  }

  async readAttempts(study, signal) {
    const query = new URLSearchParams({ limit: SHOWN });
    OPEN_ATTEMPTS.forEach((state) => query.append("state", state));
    const url = `/sweeps/${encodeURIComponent(study.name)}/attempts?${query}`;
    const { attempts } = await fetchJson(url, signal);
    const total = Math.max(attempts.length, countOpen(study.sweep));
    this.#busy = countByWorker(attempts);
    this.#showWorkers(study.sweep);
    this.#attempts.show(attempts.toReversed(), study);
    setText(this.#part("running-total"), total === 0 ? "" : String(total));
    this.#part("running-none").hidden = attempts.length > 0;
    this.#part("running-more").hidden = total === attempts.length;
    setText(this.#part("running-more"), `${(total - attempts.length).toLocaleString("en")} more`);
  }

  async readWorkers(study, signal) {
    const { sweep } = study;
    this.#known = (await fetchJson("/workers", signal)).workers;
    const isServed = this.#known.some((worker) => canServe(worker, sweep) && !worker.is_away);
    this.#showWorkers(sweep);
    setText(this.#part("waiting"), describeWaiting(sweep));
    this.#part("unserved").hidden = isServed || sweep.wanted === 0;
    setText(this.#part("unserved"), explainUnserved(sweep));
  }

  #showWorkers(sweep) {
    const isShown = (worker) => canServe(worker, sweep) || this.#busy.has(worker.id);
    this.#workers.show(this.#known.filter(isShown));
  }

  #part(name) {
    return this.#element.querySelector(`[data-part="${name}"]`);
  }
}

/** How many attempts are at work. */
function countOpen({ attempts }) {
  return OPEN_ATTEMPTS.reduce((sum, state) => sum + attempts[state], 0);
}

function countByWorker(attempts) {
  const counts = new Map();
  attempts.forEach(({ worker_id: id }) => counts.set(id, (counts.get(id) ?? 0) + 1));
  return counts;
}

function canServe({ queue, executors }, sweep) {
  return queue === sweep.queue && executors.includes(sweep.executor);
}

function describeWaiting({ wanted, waiting_since: since }) {
  if (wanted === 0) {
    return "nothing waits for a slot";
  }
  const trials = wanted === null ? "any number of trials" : count(wanted, "trial");
  return `${trials} could start now${since === null ? "" : `, for ${formatDuration(since)}`}`;
}

function explainUnserved({ executor, queue }) {
  const option = queue === "default" ? "" : ` --queue ${queue}`;
  return `No worker is there that knows ${executor}: asktell worker${option} starts one.`;
}

function fillWorker(part, worker, attempts = 0) {
  setState(part("state"), getWorkerState(worker));
  setText(part("name"), worker.name);
  const here =
    attempts === 0 ? "at none of this sweep" : `at ${count(attempts, "trial")} of this sweep`;
  setText(part("about"), `${worker.host} · ${here}`);
  setText(part("slots"), `${worker.busy} / ${worker.slots}`);
  part("slots").title = `${worker.busy} of ${count(worker.slots, "slot")} busy`;
  setTime(part("seen"), worker.last_seen_at);
}
