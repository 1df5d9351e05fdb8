/** Names with values, in a `<dl>`. */

import { setText } from "../words.js";

/** Shows exactly these, refreshed in place. @param {[string, string][]} pairs */
export function showPairs(list, pairs) {
  while (list.children.length > pairs.length) {
    list.lastElementChild.remove();
  }
  pairs.forEach(([name, value], index) => {
    const pair = list.children[index] ?? list.appendChild(buildPair());
    setText(pair.firstElementChild, name);
    setText(pair.lastElementChild, value);
  });
}

function buildPair() {
  const pair = document.createElement("div");
  pair.append(document.createElement("dt"), document.createElement("dd"));
  return pair;
}
