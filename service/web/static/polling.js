/**
 * Polling with ETags: an unchanged answer is a 304 without a body and changes nothing.
 *
 * The ETag is sent here and the browser's own cache left out, because `fetch` hides a 304 that
 * the cache asked for.
 */

const PAUSE_MS = 2000;
const PATIENCE_MS = 10000;

export class Poller {
  #readAll;
  #onContact;
  #round = null;
  #timer = null;

  /**
   * @param {(signal: AbortSignal) => Promise<void>} readAll reads and shows what there is to show;
   *   may reject with `Unanswered`; it is called again either way
   * @param {(contact: "live" | "lost" | "signed-out") => void} onContact called after each round
   */
  constructor({ readAll, onContact }) {
    this.#readAll = readAll;
    this.#onContact = onContact;
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
        this.#timer = setTimeout(() => this.refresh(), PAUSE_MS);
      }
    }
  }

  async #readOnce(signal) {
    try {
      await this.#readAll(signal);
      return "live";
    } catch (error) {
      if (error instanceof Unanswered) {
        return error.status === 401 ? "signed-out" : "lost";
      }
      throw error;
    }
  }
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
  /** @param {number | null} status null if nothing came back at all */
  constructor(status) {
    super(status === null ? "no answer" : `answered with status ${status}`);
    this.status = status;
  }
}

/** One GET, given up after ten seconds; rejects with `Unanswered`, whatever went wrong. */
export async function fetchText(url, { headers = {}, signal }) {
  const response = await send(url, { headers, signal });
  if (!response.ok && response.status !== 304) {
    throw new Unanswered(response.status);
  }
  return response;
}

async function send(url, { headers, signal }) {
  const patience = AbortSignal.timeout(PATIENCE_MS);
  try {
    const response = await fetch(url, {
      headers: { Accept: "application/json", ...headers },
      cache: "no-store",
      signal: AbortSignal.any([signal, patience]),
    });
    const { ok, status, headers: answered } = response;
    return { ok, status, headers: answered, text: await response.text() };
  } catch {
    throw new Unanswered(null);
  }
}
