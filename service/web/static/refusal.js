/** Why the server did not do something, beside the button that asked for it. */

import { buildLoginLink } from "./contact.js";
import { setText } from "./words.js";

/** @param {import("./commands.js").Refused} refusal */
export function showRefusal(element, refusal) {
  if (refusal.status === 401) {
    element.replaceChildren(buildLoginLink());
  } else {
    setText(element, refusal.message);
  }
}
