/** The study that the page is about, which may be a sweep: `/sweeps` says more of those. */

import { Resource, Unanswered } from "../polling.js";

export class StudySource {
  #name;
  #resource = new Resource();
  #isSweep = false;

  constructor(name) {
    this.#name = name;
  }

  /** @returns {Promise<object | null>} the same object while nothing changes; null: it is not there */
  async read(signal) {
    const known = this.#isSweep ? await this.#readFrom("sweeps", signal) : null;
    if (known !== null) {
      return known;
    }
    // Whatever took the name of a sweep that is gone may be one or not.
    const study = await this.#readFrom("studies", signal);
    this.#isSweep = study !== null && study.is_sweep;
    return this.#isSweep ? this.#readFrom("sweeps", signal) : study;
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
