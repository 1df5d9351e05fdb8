/**
 * Polling with ETags: an unchanged answer is a 304 without a body and changes nothing.
 *
 * The ETag is sent here and the browser's own cache left out, because `fetch` hides a 304 that
 * the cache asked for.
 */

const PAUSE_MS = 2000;
const PATIENCE_MS = 10000;

export class Poller {
  #address;
  #onAnswer;
  #onContact;
  #request = null;
  #timer = null;
  #known = { url: null, etag: null };

  /**
   * @param {() => string} address what to ask for, evaluated before each request
   * @param {(answer: object) => void} onAnswer called with each answer that differs from the last
   * @param {(contact: "live" | "lost" | "signed-out") => void} onContact called after each request
   */
  constructor({ address, onAnswer, onContact }) {
    this.#address = address;
    this.#onAnswer = onAnswer;
    this.#onContact = onContact;
    document.addEventListener("visibilitychange", () => this.refresh());
  }

  /** Asks now, dropping a request under way; a page that nobody sees does not ask at all. */
  refresh() {
    this.#request?.abort();
    clearTimeout(this.#timer);
    if (!document.hidden) {
      this.#poll();
    }
  }

  async #poll() {
    const request = new AbortController();
    this.#request = request;
    const { contact, answer } = await this.#ask(request.signal);
    if (request.signal.aborted) {
      return;
    }
    this.#timer = setTimeout(() => this.refresh(), PAUSE_MS);
    if (answer !== undefined) {
      this.#onAnswer(answer);
    }
    this.#onContact(contact);
  }

  async #ask(signal) {
    const url = this.#address();
    try {
      const response = await this.#fetch(url, signal);
      if (response.status === 304) {
        return { contact: "live" };
      }
      if (!response.ok) {
        return { contact: response.status === 401 ? "signed-out" : "lost" };
      }
      const answer = await response.json();
      this.#known = { url, etag: response.headers.get("ETag") };
      return { contact: "live", answer };
    } catch {
      return { contact: "lost" };
    }
  }

  #fetch(url, signal) {
    const headers = { Accept: "application/json" };
    if (this.#known.url === url && this.#known.etag !== null) {
      headers["If-None-Match"] = this.#known.etag;
    }
    const patience = AbortSignal.timeout(PATIENCE_MS);
    return fetch(url, { headers, cache: "no-store", signal: AbortSignal.any([signal, patience]) });
  }
}
