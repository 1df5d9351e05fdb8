/** The table of tokens, without their texts. */

import { KeyedRows } from "../keyed_rows.js";
import { setTime } from "../times.js";
import { setState, setText } from "../words.js";

export class TokensTable {
  #rows;

  /** @param {(token: object) => void} revoke called when somebody presses that button */
  constructor(body, template, revoke) {
    const fill = (part, token) => {
      fillRow(part, token);
      part("revoke").onclick = () => revoke(token);
    };
    // A name is free again once its token is revoked.
    const getKey = (token) => JSON.stringify([token.name, token.created_at]);
    this.#rows = new KeyedRows(body, template, { getKey, fill });
  }

  /** Shows these, those that still work first. */
  show(tokens) {
    const isBad = (token) => !isGood(token);
    this.#rows.show([...tokens.filter(isGood), ...tokens.filter(isBad)]);
  }
}

/** Whether a token still works, as far as this browser's clock is right. */
export function isGood(token) {
  return getState(token) === "valid";
}

function getState({ revoked_at: revokedAt, expires_at: expiresAt }) {
  if (revokedAt !== null) {
    return "revoked";
  }
  return expiresAt !== null && Date.parse(expiresAt) <= Date.now() ? "expired" : "valid";
}

function fillRow(part, token) {
  setText(part("name"), token.name);
  part("name").title = token.name;
  setText(part("scope"), token.scope);
  setState(part("state"), getState(token));
  setTime(part("created"), token.created_at);
  fillExpiry(part("expires"), token.expires_at);
  part("never").hidden = token.last_used_at !== null;
  part("used").hidden = token.last_used_at === null;
  if (token.last_used_at !== null) {
    setTime(part("used"), token.last_used_at);
  }
  part("revoke").hidden = !isGood(token);
  part("revoke").setAttribute("aria-label", `Revoke ${token.name}`);
}

function fillExpiry(element, moment) {
  setText(element, moment === null ? "never" : new Date(moment).toLocaleDateString());
  element.title = moment === null ? "" : new Date(moment).toLocaleString();
}
