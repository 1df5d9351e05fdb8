/** What pages ask the server to do, on behalf of whoever is logged in. */

const PATIENCE_MS = 20000;

const watchers = [];
let session = null;

/**
 * Who is logged in: `{name, scope, expires_at, csrf_token}`, as it was read once.
 *
 * @returns {Promise<object>} rejects with `Refused` for somebody who is not
 */
export function readSession() {
  session ??= askSession();
  return session;
}

/** Has it read anew when it is wanted next: another tab may have logged in somebody else. */
export function forgetSession() {
  session = null;
}

/** @param {(session: object) => void} watch called whenever it was read */
export function watchSession(watch) {
  watchers.push(watch);
}

/** Whether whoever is logged in may change studies and sweeps. */
export async function mayWrite() {
  const { scope } = await readSession();
  return scope === "admin" || scope === "user";
}

/**
 * One POST, PATCH, PUT or DELETE.
 *
 * @param {object} [body] becomes JSON
 * @returns {Promise<object | null>} the answer; rejects with `Refused`
 */
export async function command(method, url, body) {
  try {
    return await send(method, url, body);
  } catch (refusal) {
    if (refusal.status === 401 || refusal.status === 403) {
      forgetSession();
    }
    if (refusal.code !== "csrf-token-wrong") {
      throw refusal;
    }
    // Somebody logged in anew in another tab: this page still had the old session's token.
    return send(method, url, body);
  }
}

/** The server did not do it; `message` is a sentence for people. */
export class Refused extends Error {
  /**
   * @param {number | null} status null if nothing came back at all
   * @param {string} code what it is called in the API; "no-answer" without one
   */
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

async function askSession() {
  try {
    const answered = await request("GET", "/session", {});
    watchers.forEach((watch) => watch(answered));
    return answered;
  } catch (refusal) {
    forgetSession();
    throw refusal;
  }
}

async function send(method, url, body) {
  const { csrf_token: csrfToken } = await readSession();
  const headers = { "X-CSRF-Token": csrfToken };
  if (body !== undefined) {
    headers["Content-Type"] = "application/json";
  }
  return request(method, url, { headers, body: body === undefined ? undefined : JSON.stringify(body) });
}

async function request(method, url, { headers = {}, body }) {
  const { response, text } = await answer(method, url, {
    headers: { Accept: "application/json", ...headers },
    body,
  });
  const document = text === "" ? null : JSON.parse(text);
  if (!response.ok) {
    throw new Refused(response.status, document?.code, document?.detail ?? "The server refused.");
  }
  return document;
}

async function answer(method, url, { headers, body }) {
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const response = await fetch(url, { method, headers, body, cache: "no-store", signal });
    return { response, text: await response.text() };
  } catch {
    const message = "The server did not answer; look whether it was done before you try again.";
    throw new Refused(null, "no-answer", message);
  }
}
