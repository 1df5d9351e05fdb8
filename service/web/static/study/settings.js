/** What else decides how a study goes on. */

import { formatValue } from "../params.js";
import { showPairs } from "./pairs.js";
import { describeSpan } from "../times.js";

/** Shows limits, leases, retries and attributes. */
export function showSettings(card, study) {
  card.hidden = false;
  showPairs(card.querySelector("dl"), [
    ...listLimits(study),
    ...listLeases(study),
    ...listAttrs(study),
  ]);
}

function listLimits({ objectives, budget, parallelism, created_at: createdAt }) {
  const limits = [
    ["Created", new Date(createdAt).toLocaleString()],
    ["Objectives", objectives.map(({ name, direction }) => `${direction} ${name}`).join(", ")],
    ["Trials", budget.max_trials?.toLocaleString("en") ?? "no limit"],
    ["Time", budget.max_seconds === null ? null : describeSpan(budget.max_seconds)],
    ["Target", budget.target === null ? null : String(budget.target)],
    [
      "Patience",
      budget.patience === null ? null : `${budget.patience} trials without a better one`,
    ],
    ["Failures", budget.max_failures === null ? null : `${budget.max_failures} in a row end it`],
    ["At a time", parallelism === null ? "any number" : String(parallelism)],
  ];
  return limits.filter(([, value]) => value !== null);
}

function listLeases({ lease_seconds: seconds, retry }) {
  const tries = `${retry.max_attempts} at most, after ${retry.on.join(", ") || "nothing"} (${retry.mode})`;
  return [
    ["Lease", seconds === null ? "none" : describeSpan(seconds)],
    ["Attempts", retry.max_attempts === 1 ? "one" : tries],
  ];
}

function listAttrs({ user_attrs: attrs }) {
  return Object.entries(attrs).map(([name, value]) => [name, formatValue(value)]);
}
