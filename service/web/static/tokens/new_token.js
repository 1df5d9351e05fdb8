/** The text of a token that was just made: shown once, and gone with the next word. */

import { setText } from "../words.js";

export class NewToken {
  #element;

  /** @param {() => void} onDone called when somebody has copied it, and it is gone */
  constructor(element, onDone) {
    this.#element = element;
    this.#part("copy").addEventListener("click", () => this.#copy());
    this.#part("done").addEventListener("click", () => {
      this.#forget();
      onDone();
    });
    // Browsers bring pages back as they were left.
    window.addEventListener("pagehide", () => this.#forget());
  }

  show({ name, token }) {
    setText(this.#part("name"), name);
    setText(this.#part("copied"), "");
    this.#part("token").value = token;
    this.#element.hidden = false;
    this.#part("copy").focus();
  }

  async #copy() {
    this.#part("token").select();
    setText(this.#part("copied"), (await writeClipboard(this.#part("token").value)) ? "Copied." : HELP);
  }

  #forget() {
    this.#part("token").value = "";
    this.#element.hidden = true;
  }

  #part(name) {
    return this.#element.querySelector(`[data-part="${name}"]`);
  }
}

const HELP = "The browser does not let this page copy: press Ctrl+C.";

/** Without TLS there is no clipboard, but on this very machine. */
async function writeClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
