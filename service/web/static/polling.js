/**
 * Polling with ETags: an unchanged answer is a 304 without a body and changes nothing.
 *
 * The ETag is sent here and the browser's own cache left out, because `fetch` hides a 304 that
 * the cache asked for.
 */

const ROUND_PAUSE_MS = 2000;
const PATIENCE_MS = 10000;
/** What it means when the page itself is answered with this status, or not at all. */
const CONTACTS = { 401: "signed-out", null: "lost" };

export class Poller {
  #readAll;
  #onContact;
  #pauseMs;
  #round = null;
  #timer = null;

  /**
   * @param {(signal: AbortSignal) => Promise<"live" | "partial">} readAll reads and shows what
   *   there is to show, and says whether all of it came; may reject with `Unanswered`; it is called
   *   again either way
   * @param {(contact: "live" | "partial" | "failing" | "lost" | "signed-out") => void} onContact
   *   called after each round
   * @param {number} [pauseMs] between the end of a round and the next one
   */
  constructor({ readAll, onContact, pauseMs = ROUND_PAUSE_MS }) {
    this.#readAll = readAll;
    this.#onContact = onContact;
    this.#pauseMs = pauseMs;
    document.addEventListener("visibilitychange", () => this.refresh());
  }

  /** Asks now, dropping a round under way; a page that nobody sees does not ask at all. */
  refresh() {
    this.#round?.abort();
    clearTimeout(this.#timer);
    if (!document.hidden) {
      this.#poll();
    }
  }

  async #poll() {
    const round = new AbortController();
    this.#round = round;
    try {
      const contact = await this.#readOnce(round.signal);
      if (!round.signal.aborted) {
        this.#onContact(contact);
      }
    } finally {
      if (!round.signal.aborted) {
        this.#timer = setTimeout(() => this.refresh(), this.#pauseMs);
      }
    }
  }

  async #readOnce(signal) {
    try {
      return await this.#readAll(signal);
    } catch (error) {
      if (error instanceof Unanswered) {
        return CONTACTS[error.status] ?? "failing";
      }
      throw error;
    }
  }
}

/**
 * Waits for parts of a page of which each may fail by itself: the others are as good without it.
 *
 * @param {Promise<void>[]} parts
 * @returns {Promise<"live" | "partial">} rejects if the session is over, or with a mistake of ours
 */
export async function settle(parts) {
  const outcomes = await Promise.allSettled(parts);
  const reasons = outcomes.flatMap(({ reason }) => (reason === undefined ? [] : [reason]));
  const worst = reasons.find((reason) => !(reason instanceof Unanswered && reason.status !== 401));
  if (worst !== undefined) {
    throw worst;
  }
  return reasons.length === 0 ? "live" : "partial";
}

/** What one address answers, remembered until it answers something else. */
export class Resource {
  #known = { url: null, etag: null, answer: null };

  /** @returns {Promise<object>} the JSON; the same object as before while nothing has changed */
  async read(url, signal) {
    const known = this.#known.url === url ? this.#known : { etag: null };
    const headers = known.etag === null ? {} : { "If-None-Match": known.etag };
    const { status, headers: answered, text } = await fetchText(url, { headers, signal });
    if (status !== 304) {
      this.#known = { url, etag: answered.get("ETag"), answer: JSON.parse(text) };
    }
    return this.#known.answer;
  }
}

/** There is no answer, or one that is neither a success nor "not modified". */
export class Unanswered extends Error {
  /**
   * @param {number | null} status null if nothing came back at all
   * @param {string} [text] what came instead
   */
  constructor(status, text = "") {
    super(status === null ? "no answer" : `answered with status ${status}`);
    this.status = status;
    this.text = text;
  }
}

/** One GET, given up after ten seconds; rejects with `Unanswered`, whatever went wrong. */
export async function fetchText(url, { headers = {}, signal = null } = {}) {
  const response = await send(url, { headers, signal });
  if (!response.ok && response.status !== 304) {
    throw new Unanswered(response.status, response.text);
  }
  return response;
}

/** The JSON of one GET, as `fetchText`. */
export async function fetchJson(url, signal) {
  return JSON.parse((await fetchText(url, { signal })).text);
}

async function send(url, { headers, signal }) {
  const patience = AbortSignal.timeout(PATIENCE_MS);
  try {
    const response = await fetch(url, {
      headers: { Accept: "application/json", ...headers },
      cache: "no-store",
      signal: signal === null ? patience : AbortSignal.any([signal, patience]),
    });
    const { ok, status, headers: answered } = response;
    return { ok, status, headers: answered, text: await response.text() };
  } catch {
    throw new Unanswered(null);
  }
}
