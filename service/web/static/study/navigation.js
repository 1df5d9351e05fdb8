/** Which trial the address names. Links to trials of this study open without leaving the page. */

/** The number in this page's address, or null. */
export function readTrialNumber() {
  const text = new URLSearchParams(location.search).get("trial") ?? "";
  return /^\d{1,10}$/.test(text) ? Number(text) : null;
}

/**
 * Takes over the links to this study's trials, and the browser's Back and Forward.
 *
 * @param {string} name of the study
 * @param {(number: number | null, reason: "pressed" | "moved") => void} onTrial shows it
 */
export function followTrialLinks(name, onTrial) {
  document.addEventListener("click", (event) => {
    const url = getUrl(event.target.closest("a"));
    if (isPlain(event) && isOfStudy(url, name)) {
      event.preventDefault();
      goTo(url, onTrial);
    }
  });
  addEventListener("popstate", () => onTrial(readTrialNumber(), "moved"));
}

/** Makes an address this page's, and shows its trial. */
export function goTo(url, onTrial) {
  if (url.href !== location.href) {
    history.pushState(null, "", url);
  }
  onTrial(readTrialNumber(), "pressed");
}

/** Of links in charts as well, where `href` is not a text. */
function getUrl(link) {
  const href = link?.getAttribute("href") ?? null;
  return href === null ? null : new URL(href, location.href);
}

/** With a key held down it is to open elsewhere. */
function isPlain({ button, ctrlKey, metaKey, shiftKey, altKey }) {
  return button === 0 && !ctrlKey && !metaKey && !shiftKey && !altKey;
}

function isOfStudy(url, name) {
  const isHere = url?.origin === location.origin && url.pathname === location.pathname;
  return isHere && url.searchParams.get("name") === name && url.searchParams.has("trial");
}
