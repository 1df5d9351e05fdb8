/** What states mean for what is shown. */

/** Those of attempts that are at work. */
export const OPEN_ATTEMPTS = ["launching", "running", "stopping"];

const OVER = new Set(["finished", "failed", "cancelled"]);

/** The state to show: that of a sweep says more than that of its study. */
export function getState({ state, sweep }) {
  return sweep?.state ?? state;
}

/** Whether a study or a sweep starts no more trials, and never will by itself. */
export function isOver(study) {
  return OVER.has(getState(study));
}

/** Of a worker, as people see it. */
export function getWorkerState({ is_away: isAway, state }) {
  if (isAway) {
    return "away";
  }
  return state === "active" ? "online" : state;
}
