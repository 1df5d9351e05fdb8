/** The lists of workers and of the queues that they serve. */

import { KeyedRows } from "../keyed_rows.js";
import { getWorkerState } from "../states.js";
import { formatDuration, setTime } from "../times.js";
import { count, setState, setText } from "../words.js";

const find = (id) => document.getElementById(id);

export class WorkersLists {
  #workers = new KeyedRows(find("workers"), find("worker"), {
    getKey: (worker) => worker.id,
    fill: fillWorker,
  });
  #queues = new KeyedRows(find("queues"), find("queue"), {
    getKey: (queue) => queue.name,
    fill: fillQueue,
  });

  /** Shows all workers, and what those of these studies that are active sweeps want of them. */
  show(workers, studies) {
    const isActive = ({ sweep }) => sweep?.state === "active";
    const queues = buildQueues(studies.filter(isActive), workers);
    this.#workers.show(workers.toSorted((one, other) => one.name.localeCompare(other.name)));
    this.#queues.show(queues);
    setText(find("workers-total"), describeTotal(workers));
    find("workers-none").hidden = workers.length > 0;
    find("queues-none").hidden = queues.length > 0;
  }
}

/** Slots of the workers that are there: how many are busy, and how many there are. */
export function sumSlots(workers) {
  const present = workers.filter((worker) => !worker.is_away);
  return {
    busy: present.reduce((sum, worker) => sum + worker.busy, 0),
    slots: present.reduce((sum, worker) => sum + worker.slots, 0),
  };
}

function describeTotal(workers) {
  const { busy, slots } = sumSlots(workers);
  return workers.length === 0 ? "" : `${busy} of ${count(slots, "slot")} busy`;
}

function fillWorker(part, worker) {
  setState(part("state"), getWorkerState(worker));
  setText(part("name"), worker.name);
  const about = [worker.host, `queue ${worker.queue}`, worker.executors.join(", ")];
  setText(part("about"), about.filter(Boolean).join(" · "));
  setText(part("slots"), `${worker.busy} / ${worker.slots}`);
  part("slots").title = `${worker.busy} of ${count(worker.slots, "slot")} busy`;
  setTime(part("seen"), worker.last_seen_at);
}

function buildQueues(sweeps, workers) {
  const waiting = sweeps.filter(({ sweep }) => sweep.wanted !== 0);
  const names = [...new Set(waiting.map(({ sweep }) => sweep.queue))].sort();
  return names.map((name) => {
    const inQueue = waiting.map(({ sweep }) => sweep).filter(({ queue }) => queue === name);
    return {
      name,
      depth: inQueue.reduce((sum, { wanted }) => sum + (wanted ?? Infinity), 0),
      waitingSince: findOldest(inQueue.map((sweep) => sweep.waiting_since)),
      isServed: workers.some((worker) => worker.queue === name && !worker.is_away),
    };
  });
}

function findOldest(moments) {
  return moments.filter((moment) => moment !== null).sort()[0] ?? null;
}

function fillQueue(part, queue) {
  setText(part("name"), queue.name);
  const isAny = queue.depth === Infinity;
  setText(part("depth"), isAny ? "any number" : queue.depth.toLocaleString("en"));
  setText(part("about"), describeQueue(queue));
}

function describeQueue({ name, waitingSince, isServed }) {
  const wait = waitingSince === null ? [] : [`oldest waits for ${formatDuration(waitingSince)}`];
  const help = isServed ? [] : [`no worker serves it: asktell worker --queue ${name}`];
  return [...wait, ...help].join(" · ");
}
