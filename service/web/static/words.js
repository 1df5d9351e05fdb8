/** States in words and shapes: colour alone never tells one from another. */

const STATES = {
  active: "● active",
  paused: "‖ paused",
  stopping: "◌ stopping",
  finished: "✓ finished",
  launching: "◌ launching",
  running: "● running",
  waiting: "◌ waiting",
  complete: "✓ complete",
  fail: "✕ failed",
  succeeded: "✓ succeeded",
  failed: "✕ failed",
  pruned: "◇ pruned",
  cancelled: "⊘ cancelled",
  preempted: "↻ preempted",
  lost: "? lost",
  online: "● online",
  draining: "◌ draining",
  away: "✕ away",
  valid: "● valid",
  expired: "◌ expired",
  revoked: "⊘ revoked",
};
const STOP_REASONS = {
  stopped: "somebody stopped it",
  cancelled: "somebody cancelled it",
  max_trials: "its trials are used up",
  max_seconds: "its time is over",
  max_failures: "too many trials failed in a row",
  target: "its target is reached",
  patience: "no better trial for too long",
  exhausted: "its sampler has tried everything",
  refused: "what it is to launch is not there, or does not fit it",
};
const SIGNALS = {
  1: "SIGHUP",
  2: "SIGINT",
  6: "SIGABRT",
  9: "SIGKILL",
  11: "SIGSEGV",
  15: "SIGTERM",
};

/** Makes an element the pill of a state. */
export function setState(element, state) {
  setText(element, STATES[state] ?? state);
  element.dataset.state = state;
}

/** Why a study starts no more trials; "" while it does. */
export function describeStop(reason) {
  return STOP_REASONS[reason] ?? reason ?? "";
}

/** How the program of an attempt ended; null if nobody knows, or it has not. */
export function describeExit({ exit_code: code, signal }) {
  if (signal !== null) {
    return `signal ${signal}${signal in SIGNALS ? ` (${SIGNALS[signal]})` : ""}`;
  }
  return code === null ? null : `code ${code}`;
}

/** "3 workers", "1 worker" */
export function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

/** Six digits are enough to compare by eye; infinities arrive as words. */
export function shorten(value) {
  return typeof value === "number" ? String(Number(value.toPrecision(6))) : String(value);
}

/** Writes only what differs: a selection in a text that is replaced would be lost. */
export function setText(element, text) {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

/** Makes a link lead to a page elsewhere, or hides it: only pages are led to, whatever came. */
export function setOutsideLink(link, url) {
  link.hidden = !/^https?:\/\//i.test(url ?? "");
  if (link.hidden) {
    link.removeAttribute("href");
  } else {
    link.href = url;
  }
}
