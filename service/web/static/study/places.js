/** Addresses of a study's trials and attempts, and what systems outside are called. */

const SYSTEMS = { flyte: "Flyte", process: "Run" };

/** The page of a study, or of one of its trials. */
export function getStudyHref(study, number = null) {
  const query = new URLSearchParams({ name: study });
  if (number !== null) {
    query.set("trial", number);
  }
  return `/ui/study?${query}`;
}

/** The page of an attempt, with its log. */
export function getAttemptHref(study, id) {
  return `/ui/sweeps/${encodeURIComponent(study)}/attempts/${encodeURIComponent(id)}`;
}

/** The address of a study in the API. */
export function getStudyUrl(study) {
  return `/studies/${encodeURIComponent(study)}`;
}

/** The address of some fields of a trial in the API: a whole one may carry thousands of reports. */
export function getTrialUrl(study, number, fields) {
  const query = new URLSearchParams(fields.map((field) => ["fields", field]));
  return `${getStudyUrl(study)}/trials/${number}?${query}`;
}

/** The system in which an executor's runs are found: "W&B". */
export function describeSystem(executor) {
  return executor.startsWith("wandb") ? "W&B" : (SYSTEMS[executor] ?? executor);
}
