"""The page of a study or a sweep as a person sees it: a real server, looked at in Chromium."""

from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest

from tests.acceptance.browser import Browser
from tests.acceptance.pages import SOME_SAYS, WANDB, Server, claim_run, make_runs

pytestmark = pytest.mark.browser

ODD_NAMES = [
    "<img src=x onerror='window.hurt = true'> & \"quotes\" ?#%41",
    "مرحبا right to left 🚀",
    "n" * 500,
]
COUNT = "return document.querySelectorAll(arguments[0]).length"
HAS = "return document.querySelectorAll(arguments[0]).length === arguments[1]"
READ_NUMBERS = """
const numbers = [...document.querySelectorAll("#trial-rows [data-part=number]")]
  .map((each) => Number(each.textContent));
return JSON.stringify(numbers) === JSON.stringify(arguments[0]);
"""
PRESS = """
const [selector, word] = arguments;
const found = [...document.querySelectorAll(selector)]
  .find((each) => each.textContent === word && each.checkVisibility());
found?.focus();
found?.click();
return found !== undefined;
"""
READ_FILTER = """
const page = document.querySelector("script[type=module]").src;
const { parseFilter } = await import(new URL("conditions.js", page));
return arguments[0].map((text) => Object.values(parseFilter(text)).slice(0, 2));
"""
FILTERS: dict[str, list[list[str]]] = {
    " lr < 0.01  optimizer=adam ": [["lr < 0.01", "optimizer=adam"], []],
    "a=b = 3 n!= 3": [["a=b = 3", "n!= 3"], []],
    "learning rate<1 state:failed x='a b'": [["learning rate<1", "x='a b'"], ["FAIL"]],
    'x="a \\" <b" state:complete State:PRUNED': [['x="a \\" <b"'], ["COMPLETE", "PRUNED"]],
    "lr< ": [["lr<"], []],
    "adam = 3 what": [["adam = 3", "what"], []],
}
CHOOSE = """
const select = document.getElementById(arguments[0]);
select.value = arguments[1];
select.dispatchEvent(new Event("change"));
"""
WATCH_ROWS = """
window.rewritten = 0;
const observer = new MutationObserver(() => { window.rewritten += 1; });
for (const row of document.querySelectorAll("#trial-rows tr")) {
  observer.observe(row, { attributes: true, subtree: true });
}
"""
LIST_BUTTONS = """
return [...document.querySelectorAll(".actions button")]
  .filter((each) => each.checkVisibility()).map((each) => each.textContent);
"""
READ_HREF = "return document.querySelector(arguments[0])?.getAttribute('href')"
FOLLOW_MARK = """
const title = [...document.querySelectorAll("#history a title")]
  .find((each) => each.textContent.startsWith(arguments[0]));
title?.parentElement.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }));
return title !== undefined;
"""


@pytest.fixture
def study(server: Server, request: pytest.FixtureRequest) -> str:
    """A study of its own for the test, named after it."""
    name: str = request.node.name
    server.make_study(name, budget={"max_trials": 40})
    return name


def test_study_grows_while_the_page_is_open(server: Server, browser: Browser, study: str):
    open_study(server, browser, study)
    browser.wait_for(SOME_SAYS, "main", "active", "none complete", "40 left", "No trials yet.")
    browser.wait_for(SOME_SAYS, "#matters", "It takes two complete trials to tell; there is none.")

    run_trial(server, study, values=0.25)
    browser.wait_for(SOME_SAYS, "#trial-rows tr", "0", "complete", "0.25")
    browser.run("document.querySelector('#trial-rows a').focus()")
    run_trial(server, study, values=0.75, points=[(0, 0.1), (1, "NaN"), (2, 0.75)])
    run_trial(server, study, state="FAIL", reason="It <i>raised</i>.")
    server.post(f"/studies/{study}/ask", {})

    browser.wait_for(READ_NUMBERS, [3, 2, 1, 0])
    browser.wait_for(SOME_SAYS, "#trial-rows tr", "failed", "It <i>raised</i>.")
    browser.wait_for(SOME_SAYS, "#trial-rows tr", "0.75 ★", "x 0.")
    browser.wait_for(
        SOME_SAYS, "main > .card", "0.75 trial 1", "1 running", "36 left", "ends about"
    )
    browser.wait_for(HAS, "#history .mark", 3)
    browser.wait_for(HAS, "#curves polyline", 1)
    assert browser.run("return document.activeElement.getAttribute('aria-label')") == "Trial 0"
    assert browser.read_errors() == []


def test_trial_opens_in_place_and_by_its_address(server: Server, browser: Browser, study: str):
    run_trial(server, study, values=0.25, points=[(0, 0.1), (5, 0.25)], attrs={"why": "<b>me</b>"})
    run_trial(server, study, state="FAIL", reason="No <i>luck</i>.\n  File train.py")

    open_study(server, browser, study, trial=0)
    browser.wait_for(SOME_SAYS, "#trial", "Trial 0", "complete", "0.25", "x", "<b>me</b>")
    browser.wait_for(SOME_SAYS, "#trial", "2 points, the last 0.25 at step 5")
    browser.wait_for(HAS, "#trial .curve", 1)

    browser.run("window.sameVisit = true")
    browser.wait_for(FOLLOW_MARK, "trial 1")
    browser.wait_for(SOME_SAYS, "#trial", "Trial 1", "failed", "No <i>luck</i>.\n  File train.py")
    assert browser.run("return document.activeElement.textContent") == "Trial 1"
    assert browser.run("return location.search").endswith("trial=1")
    browser.run("history.back()")
    browser.wait_for(SOME_SAYS, "#trial", "Trial 0", "0.25")
    browser.wait_for(PRESS, "#trial button", "Close")
    assert not browser.run("return document.getElementById('trial').checkVisibility()")
    browser.run("document.querySelector('#jump input').value = 12")
    browser.wait_for(PRESS, "#jump button", "Show")
    browser.wait_for(SOME_SAYS, "#trial", "There is no trial 12 in this study.")
    assert browser.run("return window.sameVisit")
    assert [error for error in browser.read_errors() if "/trials/12?" not in error] == []


def test_table_is_ordered_filtered_and_as_long_as_wanted(
    server: Server, browser: Browser, study: str
):
    values = [3, 9, *range(10, 38)]
    server.post(
        f"/studies/{study}/trials",
        {"trials": [{"state": "COMPLETE", "params": {"x": 0.5}, "values": v} for v in values]},
    )
    run_trial(server, study, state="FAIL", reason="It raised.")

    open_study(server, browser, study)
    browser.wait_for(READ_NUMBERS, list(range(30, 5, -1)))
    browser.wait_for(PRESS, "#trials button", "Show more")
    browser.wait_for(READ_NUMBERS, list(range(30, -1, -1)))
    browser.run(WATCH_ROWS)
    run_trial(server, study, values=1)
    browser.wait_for(READ_NUMBERS, list(range(31, -1, -1)))
    assert browser.run("return window.rewritten") == 0
    browser.run(CHOOSE, "order", "best")
    browser.wait_for(READ_NUMBERS, list(range(29, 4, -1)))
    browser.run(CHOOSE, "order", "oldest")
    browser.run(CHOOSE, "state-filter", "FAIL")
    browser.wait_for(READ_NUMBERS, [30])
    browser.run(CHOOSE, "state-filter", "PRUNED")
    browser.wait_for(SOME_SAYS, "#trials", "No trial is like that.")
    assert browser.read_errors() == []


def test_filter_takes_conditions_and_tells_a_refusal(server: Server, browser: Browser):
    study = "filtered"
    space = {
        "x": {"type": "float", "low": 0, "high": 1},
        "kind": {"type": "categorical", "choices": ["plain", "two words"]},
    }
    server.make_study(study, space=space, budget={"max_trials": 40})
    for x, kind in [(0.1, "plain"), (0.2, "two words"), (0.3, "two words")]:
        outcome = {"state": "COMPLETE", "params": {"x": x, "kind": kind}, "values": x}
        server.post(f"/studies/{study}/trials", {"trials": [outcome]})
    run_trial(server, study, {"x": 0.25, "kind": "plain"}, state="FAIL", reason="It raised.")

    open_study(server, browser, study)
    browser.wait_for(READ_NUMBERS, [3, 2, 1, 0])
    assert browser.run(READ_FILTER, list(FILTERS)) == list(FILTERS.values())
    browser.run("document.querySelector('#trials-filter input').focus()")
    write(browser, "x < 0.28 ")
    browser.wait_for(READ_NUMBERS, [3, 1, 0])
    write(browser, 'kind="two words"')
    press(browser, "Enter", 13)
    browser.wait_for(READ_NUMBERS, [1])
    write(browser, " knd=plain")
    refused = 'unknown parameter or objective "knd"; did you mean "kind"?'
    browser.wait_for(SOME_SAYS, "#trials [role=alert]", refused)

    server.post(f"/studies/{study}/enqueue", {"trials": [{"params": {"x": 0.5}}]})
    browser.wait_for(SOME_SAYS, "main > .card", "1 waiting")
    assert browser.run("return document.activeElement.ariaInvalid") == "true"
    assert browser.run(READ_NUMBERS, [1])
    assert browser.run(SOME_SAYS, "#trials [role=alert]", refused)
    write_instead(browser, "x<0.28 state:failed")
    browser.wait_for(READ_NUMBERS, [3])
    assert not browser.run(
        "return document.querySelector('#trials [role=alert]').checkVisibility()"
    )
    assert browser.run("return document.getElementById('state-filter').disabled")
    write_instead(browser, "value>=0.2")
    browser.run(CHOOSE, "order", "best")
    browser.wait_for(READ_NUMBERS, [2, 1])
    assert browser.run("return document.activeElement.value") == "value>=0.2"
    assert [error for error in browser.read_errors() if "422" not in error] == []


def test_several_objectives_are_drawn_against_each_other(server: Server, browser: Browser):
    objectives = [
        {"name": "hits", "direction": "maximize"},
        {"name": "ms", "direction": "minimize"},
    ]
    space = {"x": {"type": "float", "low": 0, "high": 1}}
    server.post("/studies", {"name": "two goals", "objectives": objectives, "space": space})
    for values in ([1, 1], [2, 2], [1, 3]):
        run_trial(server, "two goals", values=values)

    open_study(server, browser, "two goals")

    browser.wait_for(SOME_SAYS, "main > .card", "Pareto front", "2 trials")
    browser.wait_for(HAS, "#history .mark", 3)
    browser.wait_for(HAS, "#history .front", 2)
    told = {"state": "COMPLETE", "params": {"x": 0.5}}
    better = [{**told, "values": [v, v]} for v in range(3, 603)]
    server.post("/studies/two goals/trials", {"trials": better})
    browser.wait_for(HAS, "#history .front", 602)
    assert browser.run("return document.querySelector('#order [value=best]').disabled")
    assert browser.read_errors() == []


def test_part_that_fails_is_told_and_leaves_the_others(
    server: Server, browser: Browser, study: str
):
    browser.command("Network.enable")
    browser.command("Network.setBlockedURLs", urls=["*/curves?*"])
    try:
        open_study(server, browser, study)
        browser.wait_for(SOME_SAYS, "header", "live, but for a part")
        run_trial(server, study, values=0.25)
        browser.wait_for(READ_NUMBERS, [0])
    finally:
        browser.command("Network.setBlockedURLs", urls=[])
    browser.wait_for("return document.getElementById('contact').textContent === 'live'")
    assert [error for error in browser.read_errors() if "/curves" not in error] == []


def test_buttons_do_what_they_say_and_tell_a_refusal(server: Server, browser: Browser, study: str):
    run_trial(server, study, values=0.5)
    open_study(server, browser, study)
    browser.wait_for(PRESS, ".actions button", "Pause")
    browser.wait_for(SOME_SAYS, "main > .card", "paused")
    assert browser.run("return document.activeElement.textContent") == "Resume"
    browser.wait_for(PRESS, ".actions button", "Resume")
    browser.wait_for(SOME_SAYS, "main > .card", "active")

    browser.wait_for(PRESS, ".actions button", "Stop")
    assert browser.run("return document.activeElement.textContent") == "Leave it"
    press(browser, "Escape", 27)
    assert browser.run("return document.activeElement.textContent") == "Stop"
    assert read_state(server, study) == "active"
    browser.wait_for(PRESS, ".actions button", "Stop")
    browser.wait_for(PRESS, "dialog button", "Stop")
    browser.wait_for(SOME_SAYS, "main > .card", "finished", "somebody stopped it")

    server.client.patch(f"/studies/{study}", json={"budget": {"max_trials": 1}}).raise_for_status()
    server.post(f"/studies/{study}/stop", {})
    browser.wait_for(PRESS, ".actions button", "Resume")
    browser.wait_for(SOME_SAYS, ".refusal", "its budget of max_trials is used up")
    assert [error for error in browser.read_errors() if "409" not in error] == []


def test_who_may_not_write_sees_no_buttons(server: Server, browser: Browser, study: str):
    token = server.post("/tokens", {"name": "watcher", "scope": "worker"})["token"]
    headers = {"Authorization": f"Bearer {token}"}
    link = httpx.post(f"{server.url}/login-links", headers=headers).raise_for_status().json()
    browser.open(link["url"])
    try:
        open_study(server, browser, study)
        browser.wait_for(SOME_SAYS, "main", "active", "No trials yet.")
        browser.wait_for("return document.getElementById('account').checkVisibility()")
        assert browser.run(LIST_BUTTONS) == []
    finally:
        server.log_in(browser)


def test_sweep_shows_its_attempts_workers_and_mirror(server: Server, browser: Browser):
    make_runs(server)
    open_study(server, browser, "runs")
    browser.wait_for(SOME_SAYS, "#sweep", "Nothing runs.", "asktell worker --queue elsewhere")

    register_worker(server)
    attempt = claim_run(server)
    seen = {"claim": 1, "state": "running", "points": [{"step": 7, "value": 0.5}]}
    run = {"external_ref": "ada/digits/k1-0-1", "url": f"{WANDB}/runs/k1-0-1"}
    path = f"/attempts/{attempt}/observe"
    server.post(path, seen | run | {"note": "Recorded <i>offline</i>."})

    browser.wait_for(SOME_SAYS, "main > .card", "W&B ↗", "W&B is away.")
    assert browser.run(READ_HREF, "[data-part=mirror]") == f"{WANDB}/sweeps/k1"
    browser.wait_for(SOME_SAYS, "#running li", "Trial 0", "attempt 1", "Recorded <i>offline</i>.")
    assert browser.run(READ_HREF, "#running [data-part=page]") == f"{WANDB}/runs/k1-0-1"
    browser.wait_for(SOME_SAYS, "#workers li", "online", "at 1 trial of this sweep", "1 / 2")
    browser.wait_for(SOME_SAYS, "#trial-rows tr", "running", "7", "W&B ↗", "log")
    log = f"/ui/sweeps/runs/attempts/{attempt}"
    assert browser.run(READ_HREF, "#trial-rows [data-part=log]") == log

    browser.wait_for(PRESS, "#trial-rows a", "0")
    browser.wait_for(SOME_SAYS, "#trial", "Attempt 1", "hand", "1 point, the last 0.5 at step 7")
    browser.wait_for(PRESS, ".actions button", "Cancel")
    browser.wait_for(SOME_SAYS, "dialog", "1 running trial will be ended and fail.")
    browser.wait_for(PRESS, "dialog button", "Cancel")
    browser.wait_for(SOME_SAYS, "main > .card", "cancelled", "somebody cancelled it")
    assert browser.read_errors() == []
    browser.open(f"{server.url}{log}")
    browser.wait_for(SOME_SAYS, "main", "trial 0", "attempt 1")
    assert browser.run(READ_HREF, "[data-part=trial]") == "/ui/study?name=runs&trial=0"


def test_names_and_values_are_text_whatever_they_are(server: Server, browser: Browser):
    space = {"<b>x</b>": {"type": "categorical", "choices": ["<i>a</i>" * 50, "n" * 300]}}
    for name in ODD_NAMES:
        server.make_study(name, space=space)
        run_trial(server, name, values="Infinity", points=[(0, "-Infinity")])

        open_study(server, browser, name)

        browser.wait_for(SOME_SAYS, "#trial-rows tr", "complete", "Infinity", "<b>x</b>")
        browser.wait_for(SOME_SAYS, "#space", "<b>x</b>", "one of <i>a</i>")
        assert browser.run("return document.querySelector('h1').textContent") == name
        width = "return document.documentElement.scrollWidth <= window.innerWidth"
        assert browser.run(width)
    assert browser.run("return window.hurt") is None
    assert browser.read_errors() == []


def test_study_that_is_not_there_is_explained(server: Server, browser: Browser, study: str):
    open_study(server, browser, study)
    browser.wait_for(SOME_SAYS, "main", "active", "Search space")

    server.client.delete(f"/studies/{study}").raise_for_status()
    browser.wait_for(SOME_SAYS, "main", "There is no study of this name")
    assert browser.run(COUNT, "main > section:not([hidden])") == 1

    server.make_study(study)
    browser.wait_for(SOME_SAYS, "main", "active", "Search space")
    open_study(server, browser, "..")
    browser.wait_for(SOME_SAYS, "main", "Browsers cannot ask for a study of this name")


def open_study(server: Server, browser: Browser, name: str, **query: Any) -> None:
    browser.open(f"{server.url}/ui/study?{urlencode({'name': name, **query})}")


def run_trial(
    server: Server,
    study: str,
    params: dict[str, Any] | None = None,
    *,
    state: str = "COMPLETE",
    points: list[tuple[int, Any]] | None = None,
    attrs: dict[str, Any] | None = None,
    **outcome: Any,
) -> None:
    url = f"/studies/{quote(study, safe='')}"
    asked = {} if params is None else {"params": params}
    (trial,) = server.client.post(f"{url}/ask", json=asked).raise_for_status().json()["trials"]
    address = f"{url}/trials/{trial['number']}"
    if points:
        report = {"points": [{"step": step, "value": value} for step, value in points]}
        server.client.post(f"{address}/report", json=report).raise_for_status()
    told = {"state": state, **outcome, **({} if attrs is None else {"user_attrs": attrs})}
    server.client.post(f"{address}/tell", json=told).raise_for_status()


def register_worker(server: Server) -> None:
    """The one that claims the run of the sweep `runs` by hand."""
    report = {"name": "hand", "host": "box", "slots": 2, "busy": 1, "version": "1"}
    registered = {**report, "queue": "elsewhere", "executors": ["wandb"]}
    server.client.put("/workers/hand", json=registered).raise_for_status()


def read_state(server: Server, study: str) -> Any:
    return server.client.get(f"/studies/{study}").json()["state"]


def write(browser: Browser, text: str) -> None:
    """Types where the focus is."""
    browser.command("Input.insertText", text=text)


def write_instead(browser: Browser, text: str) -> None:
    browser.run("document.activeElement.select()")
    write(browser, text)


def press(browser: Browser, key: str, code: int) -> None:
    text = {"text": "\r"} if key == "Enter" else {}
    event = {"key": key, "code": key, "windowsVirtualKeyCode": code, **text}
    for kind in ("keyDown", "keyUp"):
        browser.command("Input.dispatchKeyEvent", type=kind, **event)
