"""What the page of a study says of search spaces, times and wrong filters, in Chromium."""

from typing import Any
from urllib.parse import urlencode

import pytest

from tests.acceptance.browser import Browser
from tests.acceptance.pages import SOME_SAYS, Server

pytestmark = pytest.mark.browser

READ_DURATIONS = """
const page = document.querySelector("script[type=module]").src;
const { formatDuration } = await import(new URL("../times.js", page));
const begin = new Date(0).toISOString();
return arguments[0].map((ms) => formatDuration(begin, new Date(ms).toISOString()));
"""
DURATIONS = {
    0: "0 ms",
    12: "12 ms",
    99: "99 ms",
    100: "0.10 s",
    204: "0.20 s",
    996: "1.0 s",
    3210: "3.2 s",
    59_900: "59 s",
    91_000: "1 min 31 s",
}
WRITE_FILTER = """
const input = document.querySelector("#trials-filter input");
input.value = arguments[0];
input.form.requestSubmit();
"""


def test_ranges_that_trials_said_last_are_shown(server: Server, browser: Browser):
    server.post("/studies", {"name": "free", "direction": "maximize"})
    x = {"type": "float", "low": 1e-5, "high": 0.1, "log": True}
    ask(server, {"x": x, "n": {"type": "int", "low": 1, "high": 4}})
    kind = {"type": "categorical", "choices": ["a", "<b>"]}
    ask(server, {"n": {"type": "int", "low": 2, "high": 9}, "kind": kind})

    open_study(server, browser, "free")

    browser.wait_for(SOME_SAYS, "#space tr", "n", "integer, from 2 to 9")
    browser.wait_for(SOME_SAYS, "#space tr", "x", "float, from 1e-5 to 0.1, by its logarithm")
    browser.wait_for(SOME_SAYS, "#space tr", "kind", "one of a, <b>")
    assert browser.run(SOME_SAYS, "#space", "from 1 to 4") is None
    browser.wait_for(SOME_SAYS, "#space", "declared as trials run; ranges as last seen")
    assert browser.read_errors() == []


def test_filter_names_the_states_there_are(server: Server, browser: Browser):
    server.make_study("states")
    open_study(server, browser, "states")
    browser.wait_for(SOME_SAYS, "#trials", "No trials yet.")

    browser.run(WRITE_FILTER, "state:xx x<1")

    refused = '"xx" is no state of trials; they are waiting, running, complete, pruned and failed.'
    browser.wait_for(SOME_SAYS, "#trials [role=alert]", refused)
    marked = "return document.querySelector('#trials-filter input').ariaInvalid === 'true'"
    assert browser.run(marked)
    browser.run(WRITE_FILTER, "state:Failed")
    browser.wait_for("return !document.querySelector('#trials [role=alert]').checkVisibility()")
    assert browser.read_errors() == []


def test_times_that_something_took_are_as_on_the_command_line(server: Server, browser: Browser):
    server.make_study("times")
    open_study(server, browser, "times")
    browser.wait_for(SOME_SAYS, "#trials", "No trials yet.")

    assert browser.run(READ_DURATIONS, list(DURATIONS)) == list(DURATIONS.values())


def ask(server: Server, distributions: dict[str, Any]) -> None:
    server.post("/studies/free/ask", {"distributions": distributions})


def open_study(server: Server, browser: Browser, name: str) -> None:
    browser.open(f"{server.url}/ui/study?{urlencode({'name': name})}")
