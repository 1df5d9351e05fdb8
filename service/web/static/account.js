/** Who is logged in, in the header, and the way out. */

import { Refused, command, readSession, watchSession } from "./commands.js";
import { showRefusal } from "./refusal.js";

const account = document.getElementById("account");
const part = (name) => account.querySelector(`[data-part="${name}"]`);

part("log-out").addEventListener("click", logOut);
watchSession(show);
await passRefusals(readSession);

function show({ name, scope }) {
  part("name").textContent = name;
  account.hidden = false;
  document.getElementById("tokens-link").hidden = scope !== "admin";
}

async function logOut() {
  const refusal = await passRefusals(() => command("DELETE", "/session"));
  if (refusal === null || refusal.status === 401) {
    location.assign("/login");
  } else {
    showRefusal(part("refusal"), refusal);
  }
}

/** The refusal, or null. Whoever is signed out is told so by what the page itself reads. */
async function passRefusals(send) {
  try {
    await send();
    return null;
  } catch (error) {
    if (!(error instanceof Refused)) {
      throw error;
    }
    return error;
  }
}
