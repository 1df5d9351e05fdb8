"""The overview as a person sees it: a real server on a real Postgres, looked at in Chromium."""

from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from tests.acceptance.browser import Browser
from tests.acceptance.pages import (
    FIND_ROW,
    OPEN_LOG,
    ROW_SAYS,
    SOME_SAYS,
    WANDB,
    Server,
    claim_run,
    make_runs,
    offline,
)

pytestmark = pytest.mark.browser

BAR_SAYS = (
    FIND_ROW + "const bar = row?.querySelector('.bar');"
    "return bar?.getAttribute('aria-label').includes(arguments[1]);"
)
FOCUS_ROW = FIND_ROW + "row.querySelector('a').focus();"
HAS_DOTS = FIND_ROW + "return row?.querySelectorAll('.spark circle').length === arguments[1];"
PRESS = (
    FIND_ROW + "const button = [...(row?.querySelectorAll('button') ?? [])]"
    ".find((each) => each.textContent === arguments[1] && each.checkVisibility());"
    "button?.click(); return button !== undefined;"
)
FILTER = """
const filter = document.getElementById("filter");
filter.value = arguments[0];
filter.dispatchEvent(new Event("input"));
"""
READ_LINK = """
const [selector, word, part] = arguments;
return [...document.querySelectorAll(selector)].find((each) => each.innerText.includes(word))
  ?.querySelector(`[data-part=${part}]`).getAttribute("href");
"""
READ_TILE = "return document.querySelector(`[data-tile=${arguments[0]}] b`).textContent"
LIST_REQUESTS = """
const found = performance.getEntriesByType("resource")
  .filter((entry) => new URL(entry.name).pathname === arguments[0])
  .map((entry) => entry.responseStatus);
return found.length >= (arguments[1] ?? 0) && found;
"""
ODD_NAMES = [
    "<img src=x onerror='window.hurt = true'> & \"quotes\" ?#%41",
    "..",
    "two  spaces",
    "مرحبا right to left 🚀",
    "n" * 500,
]
PROGRAM = """
import os, pathlib, time
print("step=1 accuracy=0.25 <b>as it is</b>", flush=True)
while not pathlib.Path("go").exists():
    time.sleep(0.05)
if os.environ["ASKTELL_TRIAL"] == "1":
    raise SystemExit("out of <i>luck</i>")
print("step=2 accuracy=0.75")
"""
READ_HEIGHTS = """
return [...document.querySelectorAll("#activity .window")].map((each) => each.offsetHeight);
"""


@pytest.fixture
def sweep(server: Server, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A sweep of two trials that wait for the file `go`; the second one then fails."""
    (tmp_path / "train.py").write_text(PROGRAM)
    body = {
        "name": request.node.name,
        "objectives": [{"name": "accuracy", "direction": "maximize"}],
        "space": {"x": {"type": "float", "low": 0, "high": 1}},
        "budget": {"max_trials": 2},
        "launch": {"executor": "process", "program": "train.py", "directory": str(tmp_path)},
    }
    name: str = server.post("/sweeps", body)["name"]
    return name


def test_newcomers_read_how_to_begin(server: Server, browser: Browser):
    delete_studies(server)
    browser.open(f"{server.url}/")

    browser.wait_for(SOME_SAYS, "#studies-none-yet", "asktell sweep run", f"{server.url}/studies")
    server.make_study("the first")

    browser.wait_for(ROW_SAYS, "the first", "active")
    assert not browser.run("return document.getElementById('studies-none-yet').checkVisibility()")


def test_lists_are_small_until_something_is_in_them(server: Server, browser: Browser):
    delete_studies(server)
    server.make_study("small")
    browser.open(f"{server.url}/")
    browser.wait_for("return document.getElementById('running-none').checkVisibility()")
    assert max(browser.run(READ_HEIGHTS)) < 60

    (trial,) = server.post("/studies/small/ask", {})["trials"]
    browser.wait_for(SOME_SAYS, "#running li", "small", "running")
    assert browser.run(READ_HEIGHTS)[0] == 300
    outcome = {"state": "COMPLETE", "values": 0.5}
    server.post(f"/studies/small/trials/{trial['number']}/tell", outcome)
    browser.wait_for(SOME_SAYS, "#activity", "Nothing runs.", "Nothing failed.")
    assert browser.run(READ_HEIGHTS)[0] == 300


def test_study_grows_while_the_page_is_open(server: Server, browser: Browser, study: str):
    browser.open(f"{server.url}/")
    browser.run("window.sameVisit = true")
    browser.wait_for(ROW_SAYS, study, "none complete")
    browser.run(FOCUS_ROW, study)

    server.run_trial(study, 0.25)
    browser.wait_for(BAR_SAYS, study, "1 complete")
    browser.wait_for(ROW_SAYS, study, "0.25")
    browser.wait_for(ROW_SAYS, study, "x 0.")
    server.run_trial(study, 0.75)
    server.post(f"/studies/{study}/ask", {"count": 3})
    browser.wait_for(BAR_SAYS, study, "2 complete, 3 running")
    browser.wait_for(ROW_SAYS, study, "0.75")
    browser.wait_for(SOME_SAYS, "#running li", study, "#4", "running")

    assert browser.run("return window.sameVisit")
    assert browser.run("return document.activeElement.textContent") == study
    assert browser.read_errors() == []


def test_unchanged_study_costs_next_to_nothing(server: Server, browser: Browser, study: str):
    for value in (0.25, 0.5, 0.75):
        server.run_trial(study, value)
    browser.open(f"{server.url}/")
    browser.wait_for(HAS_DOTS, study, 3)

    polls = browser.wait_for(LIST_REQUESTS, "/studies", 3)

    assert polls[:3] == [200, 304, 304]
    assert browser.run(LIST_REQUESTS, f"/studies/{study}/history") == [200]
    assert browser.run(LIST_REQUESTS, f"/studies/{study}/trials/2") == [200]


def test_button_pauses_and_resumes(server: Server, browser: Browser, study: str):
    browser.open(f"{server.url}/")
    browser.wait_for(PRESS, study, "Pause")

    browser.wait_for(ROW_SAYS, study, "paused")
    assert server.client.get(f"/studies/{study}").json()["state"] == "paused"
    browser.wait_for(PRESS, study, "Resume")
    browser.wait_for(ROW_SAYS, study, "active")
    assert browser.read_errors() == []


def test_focus_stays_when_rows_change_places(server: Server, browser: Browser, study: str):
    server.make_study("the newest")
    browser.open(f"{server.url}/")
    browser.wait_for(ROW_SAYS, study, "active")
    browser.run(FOCUS_ROW, study)

    server.post("/studies/the newest/stop", {})
    browser.wait_for(ROW_SAYS, "the newest", "finished")

    assert browser.run("return document.activeElement.textContent") == study


def test_deleted_study_is_forgotten(server: Server, browser: Browser, study: str):
    server.run_trial(study, 0.25)
    browser.open(f"{server.url}/")
    browser.wait_for(HAS_DOTS, study, 1)

    server.client.delete(f"/studies/{study}").raise_for_status()
    server.make_study(study)
    browser.wait_for(HAS_DOTS, study, 0)
    browser.wait_for(ROW_SAYS, study, "none complete")
    server.client.delete(f"/studies/{study}").raise_for_status()

    browser.wait_for(FIND_ROW + "return row === undefined", study)


def test_names_are_text_whatever_they_contain(server: Server, browser: Browser):
    for name in ODD_NAMES:
        server.make_study(name)

    browser.open(f"{server.url}/")

    for name in ODD_NAMES:
        browser.wait_for(ROW_SAYS, name, "maximize")
        link = browser.run(FIND_ROW + "return row.querySelector('a').href", name)
        assert link == f"{server.url}/ui/study?{urlencode({'name': name})}"
    assert browser.run("return window.hurt") is None
    assert browser.read_errors() == []


def test_filter_narrows_the_list_by_name_or_state(server: Server, browser: Browser, study: str):
    server.make_study("quite another")
    server.post("/studies/quite another/pause", {})
    browser.open(f"{server.url}/")
    browser.wait_for(ROW_SAYS, "quite another", "paused")

    browser.run(FILTER, study.upper())
    browser.wait_for(FIND_ROW + "return row === undefined", "quite another")
    browser.wait_for(ROW_SAYS, study, "active")
    browser.run(FILTER, "paused")
    browser.wait_for(FIND_ROW + "return row === undefined", study)
    browser.wait_for(ROW_SAYS, "quite another", "paused")
    browser.run(FILTER, "neither of them")
    browser.wait_for(SOME_SAYS, "#studies-none-match", "No sweep and no study")


def test_sweep_is_followed_from_the_first_line_to_the_last(
    server: Server, browser: Browser, sweep: str, tmp_path: Path
):
    browser.open(f"{server.url}/")
    browser.wait_for(SOME_SAYS, "#studies tr", sweep, "process · maximize accuracy", "running")
    browser.wait_for(SOME_SAYS, "#workers li", "online", "queue default")
    browser.wait_for(SOME_SAYS, "#running li", sweep, "#0", "running")
    assert browser.run("return document.querySelectorAll('#studies tr').length") == len(
        server.client.get("/studies").json()["studies"]
    )

    browser.run(OPEN_LOG, "#running li", sweep, "#0")
    browser.wait_for(SOME_SAYS, "#log", "accuracy=0.25 <b>as it is</b>")
    browser.wait_for(SOME_SAYS, "main", "● running")
    (tmp_path / "go").touch()
    browser.wait_for(SOME_SAYS, "#log", "accuracy=0.75")
    browser.wait_for(SOME_SAYS, "main", "✓ succeeded", "code 0")

    browser.open(f"{server.url}/")
    browser.wait_for(SOME_SAYS, "#studies tr", sweep, "finished", "1 failed", "0.75")
    browser.wait_for(SOME_SAYS, "#failures li", sweep, "exit code 1")
    browser.run(OPEN_LOG, "#failures li", sweep)
    browser.wait_for(SOME_SAYS, "main", "✕ failed", "exit code 1")
    browser.wait_for(SOME_SAYS, "#log", "out of <i>luck</i>")
    assert browser.read_errors() == []


def test_failures_are_told_in_words(server: Server, browser: Browser, study: str):
    launch = {"executor": "wandb", "program": "train.py", "queue": "nowhere"}
    server.post("/sweeps", {"name": "early", "direction": "minimize", "launch": launch})
    for name in (study, "early"):
        server.post(f"/studies/{name}/ask", {})
        failure = {"state": "FAIL", "reason": "It <i>raised</i>."}
        server.post(f"/studies/{name}/trials/0/tell", failure)

    browser.open(f"{server.url}/")

    browser.wait_for(SOME_SAYS, "#failures li", study, "#0", "attempt 1 · It <i>raised</i>.")
    browser.wait_for(SOME_SAYS, "#failures li", "early", "#0", "no attempt · It <i>raised</i>.")
    trial = browser.run(READ_LINK, "#failures li", study, "number")
    assert trial == f"/ui/study?{urlencode({'name': study, 'trial': 0})}"
    assert browser.run(READ_LINK, "#failures li", study, "log") == ""
    browser.wait_for(f"return Number((() => {{{READ_TILE}}})(arguments[0])) >= 2", "failures")
    assert browser.read_errors() == []


def test_runs_elsewhere_are_linked(server: Server, browser: Browser):
    make_runs(server)
    path, seen = f"/attempts/{claim_run(server)}/observe", {"claim": 1, "state": "running"}
    server.post(path, seen)

    browser.open(f"{server.url}/")
    browser.wait_for(SOME_SAYS, "#studies tr", "runs", "W&B is away.")
    assert browser.run(READ_LINK, "#studies tr", "runs", "mirror") == f"{WANDB}/sweeps/k1"
    browser.wait_for(SOME_SAYS, "#running li", "runs", "#0", "running")
    assert browser.run(READ_LINK, "#running li", "runs", "page") is None
    ref = {"external_ref": "ada/digits/k1-0-1", "url": f"{WANDB}/runs/k1-0-1"}
    server.post(path, seen | ref | {"note": "Recorded <i>offline</i>."})
    browser.wait_for(SOME_SAYS, "#running li", "runs", "Recorded <i>offline</i>.")
    assert browser.run(READ_LINK, "#running li", "runs", "page") == f"{WANDB}/runs/k1-0-1"

    browser.run(OPEN_LOG, "#running li", "runs")
    browser.wait_for(SOME_SAYS, "main", "Recorded <i>offline</i>.", "ada/digits/k1-0-1")
    assert browser.run(READ_LINK, "main", "runs", "page") == f"{WANDB}/runs/k1-0-1"
    assert browser.read_errors() == []


def test_queue_that_nobody_serves_says_what_to_do(server: Server, browser: Browser):
    launch = {"executor": "process", "program": "train.py", "queue": "gpu"}
    server.post("/sweeps", {"name": "needs a gpu", "direction": "minimize", "launch": launch})

    browser.open(f"{server.url}/")

    browser.wait_for(SOME_SAYS, "#queues li", "gpu", "any number", "asktell worker --queue gpu")
    browser.wait_for(SOME_SAYS, "#queues li", "oldest waits for")


def test_header_tells_a_lost_connection_and_the_end_of_a_session(
    server: Server, browser: Browser, study: str
):
    browser.open(f"{server.url}/")
    browser.wait_for(SOME_SAYS, "header", "live")
    with offline(browser):
        browser.wait_for(SOME_SAYS, "header", "connection lost")
    browser.wait_for(SOME_SAYS, "header", "live")

    browser.command("Network.clearBrowserCookies")
    browser.wait_for(SOME_SAYS, "header", "signed out: log in")
    assert browser.run("return document.querySelector('#contact a').getAttribute('href')") == (
        f"/login?next={quote('/', safe='')}"
    )
    browser.wait_for(PRESS, study, "Pause")
    browser.wait_for(SOME_SAYS, "#studies .refusal", "signed out: log in")
    browser.run("document.querySelector('[data-part=log-out]').click()")
    browser.wait_for("return document.querySelector('form input[type=password]') !== null")
    server.log_in(browser)
    browser.wait_for(SOME_SAYS, "header", "live")


def delete_studies(server: Server) -> None:
    for study in server.client.get("/studies").json()["studies"]:
        server.client.delete(f"/studies/{study['name']}").raise_for_status()
