/** When a study will have used up its trials, if it goes on as of late. */

const LATEST = 20;
const FEWEST = 3;

/**
 * Seconds from one end of a trial to the next; null if too few have ended.
 *
 * Those of one batch end together, and then nothing ends for a while: the time since the last end
 * counts as well.
 *
 * @param {object} history the answer of `GET /studies/{study}/history`
 * @param {string} createdAt when the study was made: what ended before was imported
 * @param {number} now milliseconds since 1970
 */
export function measurePace({ points, n_finished: finished }, createdAt, now = Date.now()) {
  const begin = Date.parse(createdAt);
  const ends = points.map((point) => Date.parse(point.ended_at)).filter((end) => end >= begin);
  const latest = ends.sort((one, other) => one - other).slice(-LATEST);
  if (latest.length < FEWEST) {
    return null;
  }
  const sampled = finished / points.length;
  const trials = (latest.length - 1) * sampled;
  const pace = Math.max((latest.at(-1) - latest[0]) / trials, (now - latest[0]) / (trials + 1));
  return pace > 0 ? pace / 1000 : null;
}

/**
 * How long a study will take yet, in seconds; null if nobody can tell.
 *
 * @param {object} study as `GET /studies` lists it
 * @param {number | null} pace as measured
 */
export function estimateLeft(study, pace) {
  const open = countOpen(study);
  return open === null || pace === null ? null : open * pace;
}

/** Trials that have yet to end; null: nobody knows, or none will. */
function countOpen({ state, counts, progress }) {
  const { started, max_trials: most } = progress;
  if (state === "stopping") {
    return counts.running;
  }
  return state !== "active" || most === null ? null : Math.max(0, most - started) + counts.running;
}
