/** A part of the page, read anew when what it shows may have changed, and not too often. */

const NOTHING = { version: null, restsUntil: -Infinity, failure: null };
/** What takes the server a second is asked for every five: it has other work. */
const REST_FACTOR = 4;

export class Section {
  /** At least so long between one reading and the next. */
  pauseMs;
  #read;
  #shown = NOTHING;

  /** @param {(signal: AbortSignal) => Promise<void>} read reads and shows it */
  constructor({ pauseMs, read }) {
    this.pauseMs = pauseMs;
    this.#read = read;
  }

  /**
   * @param {unknown} version differs whenever the part may look different
   * @returns {Promise<void>} rejects as the last reading did, until there is another one
   */
  async refresh(version, signal) {
    const shown = this.#shown;
    if (version !== shown.version && performance.now() >= shown.restsUntil) {
      const now = await this.#readOnce(version, signal);
      // What was dropped, or forgotten meanwhile, is due at once.
      if (!signal?.aborted && this.#shown === shown) {
        this.#shown = now;
      }
    }
    if (this.#shown.failure !== null) {
      throw this.#shown.failure;
    }
  }

  async #readOnce(version, signal) {
    const begin = performance.now();
    const failure = await this.#read(signal).then(
      () => null,
      (error) => error,
    );
    const end = performance.now();
    const restsUntil = end + Math.max(this.pauseMs, (end - begin) * REST_FACTOR);
    return { version: failure === null ? version : null, restsUntil, failure };
  }

  /** Has it read with the next refresh, whatever was read last. */
  forget() {
    this.#shown = { ...NOTHING };
  }
}
