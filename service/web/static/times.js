/** Times as people say them: "2m ago", "1 h 5 min". */

const AGES = [
  [60, 1, "second"],
  [3600, 60, "minute"],
  [86400, 3600, "hour"],
  [Infinity, 86400, "day"],
];
const JUST_NOW_SECONDS = 5;
const AGE = new Intl.RelativeTimeFormat("en", { style: "narrow" });

/** Makes a `<time>` tell the age of a moment, now and whenever `tellAges` is called. */
export function setTime(element, moment) {
  if (element.dateTime !== moment) {
    element.dateTime = moment;
    element.title = new Date(moment).toLocaleString();
    tellAge(element);
  }
}

/** Brings every "2m ago" up to date, which goes stale while nothing else changes. */
export function tellAges() {
  document.querySelectorAll("time[datetime]").forEach(tellAge);
}

/** How long it is from one moment until another, or until now. */
export function formatDuration(from, until = null) {
  const end = until === null ? Date.now() : Date.parse(until);
  const seconds = Math.max(0, (end - Date.parse(from)) / 1000);
  if (seconds < 10 && until !== null) {
    return seconds < 0.1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toPrecision(2)} s`;
  }
  if (seconds < 60) {
    return `${Math.floor(seconds)} s`;
  }
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) {
    return `${minutes} min ${Math.floor(seconds % 60)} s`;
  }
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A time to come as people round it: "42 s", "6 min", "2 h 10 min", "3 d 4 h". */
export function describeSpan(seconds) {
  if (seconds < 60) {
    return `${Math.ceil(seconds)} s`;
  }
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) {
    return `${minutes} min`;
  }
  const hours = Math.floor(minutes / 60);
  return hours < 24
    ? `${hours} h ${minutes % 60} min`
    : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function tellAge(element) {
  const age = formatAge((Date.now() - Date.parse(element.dateTime)) / 1000);
  if (element.textContent !== age) {
    element.textContent = age;
  }
}

function formatAge(seconds) {
  if (seconds < JUST_NOW_SECONDS) {
    return "just now";
  }
  const [, unitSeconds, unit] = AGES.find(([limit]) => seconds < limit);
  return AGE.format(-Math.floor(seconds / unitSeconds), unit);
}
