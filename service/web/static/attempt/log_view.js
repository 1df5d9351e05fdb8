/** Text of a program as a terminal would leave it, followed while its end is in sight. */

const NEAR_END_PIXELS = 40;
const KEPT_CHARACTERS = 4_000_000;
const ESCAPES = /\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))/g;
// From the start of a line only: from each character on, a long line would take minutes.
const OVERWRITTEN = /^[^\n\r]*\r(?!\r*(?:\n|$))/gm;
const LINE_ENDS = /\r+\n/g;

export class LogView {
  #element;
  #onFollow;
  #line = document.createTextNode("");
  #length = 0;
  #follows = true;

  /** @param {(follows: boolean) => void} onFollow called whenever following starts or ends */
  constructor(element, onFollow) {
    this.#element = element;
    this.#onFollow = onFollow;
    element.append(this.#line);
    element.addEventListener("scroll", () => this.#setFollows(this.#isAtEnd()));
  }

  /** Adds text; the last line stays open, for what comes next may continue or overwrite it. */
  append(text) {
    const open = this.#line.data + text;
    const end = open.lastIndexOf("\n") + 1;
    if (end > 0) {
      const lines = clean(open.slice(0, end));
      this.#line.before(document.createTextNode(lines));
      this.#length += lines.length;
    }
    this.#line.data = clean(open.slice(end));
    this.#dropOldest();
    if (this.#follows) {
      this.scrollToEnd();
    }
  }

  /** Goes to the end, and follows it from now on. */
  scrollToEnd() {
    this.#element.scrollTop = this.#element.scrollHeight;
    this.#setFollows(true);
  }

  #isAtEnd() {
    const { scrollTop, clientHeight, scrollHeight } = this.#element;
    return scrollTop + clientHeight >= scrollHeight - NEAR_END_PIXELS;
  }

  #setFollows(follows) {
    if (this.#follows !== follows) {
      this.#follows = follows;
      this.#onFollow(follows);
    }
  }

  /** A page that is open for days must not hold all that was ever printed. */
  #dropOldest() {
    while (this.#length > KEPT_CHARACTERS && this.#element.firstChild !== this.#line) {
      this.#length -= this.#element.firstChild.data.length;
      this.#element.firstChild.remove();
    }
  }
}

/** Without colours, and without what a progress bar has overwritten. */
function clean(text) {
  return text.replace(ESCAPES, "").replace(OVERWRITTEN, "").replace(LINE_ENDS, "\n");
}
