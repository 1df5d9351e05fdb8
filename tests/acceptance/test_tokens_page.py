"""The page of tokens, in Chromium: making one, using it, and its end."""

import httpx
import pytest

from tests.acceptance.browser import Browser
from tests.acceptance.pages import SOME_SAYS, Server

pytestmark = pytest.mark.browser

MAKE = """
const form = document.getElementById("make");
if (!form.checkVisibility()) {
  return false;
}
[form.elements.name.value, form.elements.scope.value, form.elements.days.value] = arguments;
form.requestSubmit();
return true;
"""
READ_NEW = "return document.querySelector('#new [data-part=token]').value"
PRESS = SOME_SAYS.replace("?? null", "?.querySelector('button:not([hidden])').click()")
READ_FOCUS = "return document.activeElement.name || document.activeElement.id"
ANSWER = """
const button = [...document.querySelectorAll("dialog[open] button")]
  .find((each) => each.textContent === arguments[0]);
button?.click();
return button !== undefined;
"""


def test_token_is_shown_once_and_works_until_it_is_revoked(server: Server, browser: Browser):
    browser.open(f"{server.url}/ui/tokens")
    browser.wait_for(MAKE, "ada <b>", "user", "30")
    token = browser.wait_for(READ_NEW)
    assert read_status(server, token) == 200
    browser.wait_for(SOME_SAYS, "#tokens tr", "ada <b>", "user", "valid")

    browser.command("Browser.grantPermissions", permissions=["clipboardReadWrite"])
    browser.run(PRESS, "#new", "ada <b>")
    browser.wait_for(SOME_SAYS, "#new", "Copied.")
    assert browser.run("return navigator.clipboard.readText()") == token
    browser.run("document.querySelector('#new [data-part=done]').click()")
    assert browser.run(READ_FOCUS) == "name"
    browser.open(f"{server.url}/ui/tokens")
    browser.wait_for(SOME_SAYS, "#tokens tr", "ada <b>", "valid")
    assert browser.run("return document.documentElement.outerHTML").count(token) == 0
    assert browser.run(READ_NEW) == ""

    browser.run(PRESS, "#tokens tr", "ada <b>")
    browser.wait_for(ANSWER, "Leave it")
    assert read_status(server, token) == 200
    browser.run(PRESS, "#tokens tr", "ada <b>")
    browser.wait_for(ANSWER, "Revoke")
    browser.wait_for(SOME_SAYS, "#tokens tr", "ada <b>", "revoked")
    assert browser.run(READ_FOCUS) == "tokens-heading"
    assert read_status(server, token) == 401
    assert browser.read_errors() == []


def test_refusal_is_told_in_words(server: Server, browser: Browser):
    server.post("/tokens", {"name": "twice", "scope": "worker"})

    browser.open(f"{server.url}/ui/tokens")
    browser.wait_for("return document.getElementById('make').checkVisibility()")
    browser.run("document.querySelector('#make button').focus()")
    browser.run(MAKE, "twice", "worker", "")

    browser.wait_for(SOME_SAYS, "#make", "There is a token of the name 'twice'")
    assert browser.run("return document.activeElement.textContent") == "Make"
    assert browser.run(READ_NEW) == ""
    (refusal,) = browser.read_errors()
    assert "409" in refusal


def test_others_read_whom_to_ask(server: Server, browser: Browser):
    token = server.post("/tokens", {"name": "bob", "scope": "user"})["token"]
    link = httpx.post(f"{server.url}/login-links", json={}, headers=authorize(token)).json()
    browser.open(f"{server.url}/ui/tokens")
    browser.wait_for("return document.getElementById('make').checkVisibility()")

    # As another tab would.
    browser.run("return fetch(arguments[0]).then((answer) => answer.status)", link["url"])
    browser.run("document.dispatchEvent(new Event('visibilitychange'))")

    browser.wait_for(SOME_SAYS, "#account", "bob")
    browser.wait_for(SOME_SAYS, "main", "Tokens are made and revoked by administrators")
    assert not browser.run("return document.getElementById('make').checkVisibility()")
    assert browser.read_errors() == []


def read_status(server: Server, token: str) -> int:
    return httpx.get(f"{server.url}/studies", headers=authorize(token)).status_code


def authorize(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
