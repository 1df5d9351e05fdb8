/** The study that the page is about, which may be a sweep: only `/sweeps` knows. */

import { Resource, Unanswered } from "../polling.js";

export class StudySource {
  #name;
  #resource = new Resource();
  #collections = ["sweeps", "studies"];

  constructor(name) {
    this.#name = name;
  }

  /** @returns {Promise<object | null>} the same object while nothing changes; null: it is not there */
  async read(signal) {
    for (const collection of this.#collections) {
      const study = await this.#readFrom(collection, signal);
      if (study !== null) {
        this.#collections = [collection];
        return study;
      }
    }
    // Whatever takes its name next may be a sweep or not.
    this.#collections = ["sweeps", "studies"];
    return null;
  }

  async #readFrom(collection, signal) {
    try {
      return await this.#resource.read(`/${collection}/${encodeURIComponent(this.#name)}`, signal);
    } catch (error) {
      if (error instanceof Unanswered && error.status === 404) {
        return null;
      }
      throw error;
    }
  }
}
