"""The pages as a person sees them: a real server on a real Postgres, looked at in Chromium."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.browser import Browser, open_browser, poll

pytestmark = pytest.mark.browser

START_SECONDS = 60
STOP_SECONDS = 30

FIND_ROW = """
const row = [...document.querySelectorAll("#studies tr")]
  .find((row) => row.querySelector("[data-part=name]").textContent === arguments[0]);
"""
ROW_SAYS = FIND_ROW + "return row !== undefined && row.innerText.includes(arguments[1]);"
FOCUS_ROW = FIND_ROW + "row.querySelector('a').focus();"
SOME_SAYS = """
const [selector, ...words] = arguments;
return [...document.querySelectorAll(selector)]
  .find((each) => words.every((word) => each.innerText.includes(word))) ?? null;
"""
OPEN_LOG = SOME_SAYS.replace("?? null", ".querySelector('[data-part=log]').click()")
WANDB = "https://wandb.example/ada/digits"
READ_LINK = SOME_SAYS.replace("arguments;", "[...arguments].slice(0, 2);").replace(
    "?? null", "?.querySelector(`[data-part=${arguments[2]}]`).getAttribute('href')"
)
LINK = """
const [url] = arguments;
const address = new URL("words.js", document.querySelector("script[type=module]").src);
return import(address).then(({ setOutsideLink }) => {
  const link = document.createElement("a");
  setOutsideLink(link, "https://a.example");
  setOutsideLink(link, url);
  return [link.hidden, link.getAttribute("href")];
});
"""
PRINT = """
const [parts] = arguments;
const address = new URL("log_view.js", document.querySelector("script[type=module]").src);
return import(address).then(({ LogView }) => {
  const element = document.createElement("pre");
  const view = new LogView(element, () => {});
  parts.forEach((part) => view.append(part));
  return element.textContent;
});
"""
LIST_POLLS = """
return performance.getEntriesByType("resource")
  .filter((entry) => new URL(entry.name).pathname === "/studies")
  .map((entry) => entry.responseStatus);
"""

PROGRAM = """
import os, pathlib, time
print("step=1 accuracy=0.25 <b>as it is</b>", flush=True)
while not pathlib.Path("go").exists():
    time.sleep(0.05)
if os.environ["ASKTELL_TRIAL"] == "1":
    raise SystemExit("out of <i>luck</i>")
print("step=2 accuracy=0.75")
"""


@dataclass(frozen=True)
class Server:
    """A running `asktell serve`."""

    url: str
    client: httpx.Client
    process: subprocess.Popen[bytes]

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self.client.post(path, json=body).raise_for_status().json()

    def run_trial(self, study: str, value: float) -> None:
        (trial,) = self.post(f"/studies/{study}/ask", {})["trials"]
        outcome = {"state": "COMPLETE", "values": value}
        self.post(f"/studies/{study}/trials/{trial['number']}/tell", outcome)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data_dir = tmp_path_factory.mktemp("data")
    with run_server(data_dir) as process:
        url = poll(
            lambda: read_if_there(data_dir / "address", process),
            what="the server's address",
            within_seconds=START_SECONDS,
        )
        token = (data_dir / "token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
            yield Server(url, client, process)


@pytest.fixture(scope="module")
def browser(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("profile")) as browser:
        browser.open(server.post("/login-links", {})["url"])
        yield browser


@pytest.fixture
def study(server: Server, request: pytest.FixtureRequest) -> str:
    """A study of its own for the test, named after it."""
    name = request.node.name
    space = {"x": {"type": "float", "low": 0, "high": 1}}
    server.post("/studies", {"name": name, "direction": "maximize", "space": space})
    return name


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


def test_overview_shows_a_study_that_grows_while_the_page_is_open(
    server: Server, browser: Browser, study: str
):
    browser.open(f"{server.url}/")
    browser.run("window.sameVisit = true")
    browser.wait_for(ROW_SAYS, study, "none complete")
    browser.run(FOCUS_ROW, study)

    server.run_trial(study, 0.25)
    browser.wait_for(ROW_SAYS, study, "1 complete")
    browser.wait_for(ROW_SAYS, study, "0.25")
    server.run_trial(study, 0.75)
    server.post(f"/studies/{study}/ask", {"count": 3})
    browser.wait_for(ROW_SAYS, study, "2 complete")
    browser.wait_for(ROW_SAYS, study, "3 running")
    browser.wait_for(ROW_SAYS, study, "0.75")

    assert browser.run("return window.sameVisit")
    assert browser.run("return document.activeElement.textContent") == study
    assert browser.read_errors() == []


def test_overview_forgets_a_deleted_study(server: Server, browser: Browser, study: str):
    browser.open(f"{server.url}/")
    browser.wait_for(ROW_SAYS, study, "active")

    server.client.delete(f"/studies/{study}").raise_for_status()

    browser.wait_for(FIND_ROW + "return row === undefined", study)


def test_unchanged_list_is_answered_not_modified(server: Server, browser: Browser, study: str):
    browser.open(f"{server.url}/")
    browser.wait_for(ROW_SAYS, study, "active")

    polls = browser.wait_for(f"const polls = (() => {{{LIST_POLLS}}})(); return polls[2] && polls")

    assert polls[:3] == [200, 304, 304]


def test_names_are_text_whatever_they_contain(server: Server, browser: Browser):
    name = "<img src=x onerror='window.hurt = true'> & \"quotes\" ?#%41"
    server.post("/studies", {"name": name, "direction": "minimize"})

    browser.open(f"{server.url}/")
    browser.wait_for(ROW_SAYS, name, "minimize")

    assert browser.run("return window.hurt") is None


def test_filter_narrows_the_list(server: Server, browser: Browser, study: str):
    server.post("/studies", {"name": "quite another", "direction": "minimize"})
    browser.open(f"{server.url}/")
    browser.wait_for(ROW_SAYS, "quite another", "active")

    browser.run(
        "const filter = document.getElementById('filter'); filter.value = arguments[0];"
        "filter.dispatchEvent(new Event('input'))",
        study,
    )

    browser.wait_for(FIND_ROW + "return row === undefined", "quite another")
    browser.wait_for(ROW_SAYS, study, "active")


def test_sweep_is_followed_from_the_first_line_to_the_last(
    server: Server, browser: Browser, sweep: str, tmp_path: Path
):
    browser.open(f"{server.url}/")
    browser.wait_for(SOME_SAYS, "#sweeps tr", sweep, "accuracy", "running")
    browser.wait_for(SOME_SAYS, "#workers li", "online", "queue default")
    browser.wait_for(SOME_SAYS, "#running li", sweep, "#0", "running")
    assert browser.run(SOME_SAYS, "#studies tr", sweep) is None

    browser.run(OPEN_LOG, "#running li", sweep, "#0")
    browser.wait_for(SOME_SAYS, "#log", "accuracy=0.25 <b>as it is</b>")
    browser.wait_for(SOME_SAYS, "main", "● running")
    (tmp_path / "go").touch()
    browser.wait_for(SOME_SAYS, "#log", "accuracy=0.75")
    browser.wait_for(SOME_SAYS, "main", "✓ succeeded", "code 0")

    browser.open(f"{server.url}/")
    browser.wait_for(SOME_SAYS, "#sweeps tr", sweep, "finished", "1 complete", "1 failed", "0.75")
    browser.wait_for(SOME_SAYS, "#failures li", sweep, "exit code 1")
    browser.run(OPEN_LOG, "#failures li", sweep)
    browser.wait_for(SOME_SAYS, "main", "✕ failed", "exit code 1")
    browser.wait_for(SOME_SAYS, "#log", "out of <i>luck</i>")
    assert browser.read_errors() == []


def test_trial_that_no_worker_had_is_among_the_failures(server: Server, browser: Browser):
    launch = {"executor": "wandb", "program": "train.py", "queue": "nowhere"}
    server.post("/sweeps", {"name": "early", "direction": "minimize", "launch": launch})
    server.post("/studies/early/ask", {})
    server.post("/studies/early/trials/0/tell", {"state": "FAIL", "reason": "It <i>raised</i>."})

    browser.open(f"{server.url}/")
    browser.wait_for(SOME_SAYS, "#failures li", "early", "#0", "no attempt · It <i>raised</i>.")
    assert browser.run("return document.querySelector('#failures [data-part=log]').hidden")
    assert browser.read_errors() == []


def test_runs_elsewhere_are_linked(server: Server, browser: Browser, tmp_path: Path):
    launch = {"executor": "wandb", "program": "train.py", "queue": "elsewhere"}
    server.post("/sweeps", {"name": "runs", "direction": "minimize", "launch": launch})
    worker = {"worker_id": "hand", "queue": "elsewhere", "executors": ["wandb"]}
    assert len(server.post("/mirrors/claim", worker)["mirrors"]) == 1
    told = {"worker_id": "hand", "external_ref": "ada/digits/k1", "problem": "W&B is away."}
    server.post("/sweeps/runs/mirror", told | {"url": f"{WANDB}/sweeps/k1"})
    (attempt,) = server.post(
        "/attempts/claim", worker | {"worker_name": "hand", "host": "box", "count": 1}
    )["attempts"]
    path, seen = f"/attempts/{attempt['id']}/observe", {"claim": 1, "state": "running"}
    server.post(path, seen)

    browser.open(f"{server.url}/")
    browser.wait_for(SOME_SAYS, "#sweeps tr", "runs", "W&B is away.")
    assert browser.run(READ_LINK, "#sweeps tr", "runs", "mirror") == f"{WANDB}/sweeps/k1"
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


def test_only_pages_are_linked(server: Server, browser: Browser):
    browser.open(f"{server.url}/")

    for url in ("javascript:alert(1)", " https://a.example", "//a.example", None):
        assert browser.run(LINK, url) == [True, None]
    assert browser.run(LINK, "http://a.example") == [False, "http://a.example"]


def test_queue_that_nobody_serves_says_what_to_do(server: Server, browser: Browser):
    launch = {"executor": "process", "program": "train.py", "queue": "gpu"}
    server.post("/sweeps", {"name": "needs a gpu", "direction": "minimize", "launch": launch})

    browser.open(f"{server.url}/")

    browser.wait_for(SOME_SAYS, "#queues li", "gpu", "any number", "asktell worker --queue gpu")
    browser.wait_for(SOME_SAYS, "#queues li", "oldest waits for")


@pytest.mark.parametrize(
    ("parts", "shown"),
    [
        (["one\n", "tw", "o\nthree"], "one\ntwo\nthree"),
        (["  0%\r 50%", "\r100%\ndone\n"], "100%\ndone\n"),
        (["50%\r", "\nnext\r\r\n", "last\r\n"], "50%\nnext\nlast\n"),
        (["\x1b[1;32mgreen\x1b", "[0m and \x1b]0;title\x07plain\n"], "green and plain\n"),
        (["<b>&amp;</b>"], "<b>&amp;</b>"),
    ],
    ids=["lines", "overwritten", "line-ends", "escapes", "markup"],
)
def test_log_reads_as_in_a_terminal(server: Server, browser: Browser, parts: list[str], shown: str):
    browser.open(f"{server.url}/")

    assert browser.run(PRINT, parts) == shown


def test_lost_connection_shows_in_the_header(server: Server, browser: Browser):
    says = "return document.querySelector('header').innerText.includes(arguments[0])"
    browser.open(f"{server.url}/")
    browser.wait_for(says, "live")

    with offline(browser):
        browser.wait_for(says, "connection lost")

    browser.wait_for(says, "live")


def test_study_leads_to_its_page_in_the_dashboard(server: Server, browser: Browser, study: str):
    server.run_trial(study, 0.5)
    browser.open(f"{server.url}/")
    browser.wait_for(ROW_SAYS, study, "1 complete")

    browser.run(FIND_ROW + "row.querySelector('a').click()", study)

    browser.wait_for("return location.pathname.startsWith('/dashboard/studies/')")
    browser.wait_for("return document.body.innerText.includes(arguments[0])", study)


def test_dashboard_lists_the_study_and_cannot_delete_it(
    server: Server, browser: Browser, study: str
):
    browser.open(f"{server.url}/dashboard")
    browser.wait_for("return document.body.innerText.includes(arguments[0])", study)
    study_id = find_study_id(server, study)

    status = browser.run(
        "return fetch(`/api/studies/${arguments[0]}`, {method: 'DELETE'})"
        ".then((answer) => answer.status)",
        study_id,
    )
    answer = server.client.delete(f"/api/studies/{study_id}")

    assert status in (401, 405)
    assert (answer.status_code, list(answer.json())) == (405, ["reason"])
    assert server.client.get(f"/studies/{study}").is_success


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/studies"),
        ("POST", "/api/studies/{id}/rename"),
        ("PUT", "/api/studies/{id}/note"),
        ("POST", "/api/trials/1/tell"),
    ],
    ids=["create", "rename", "note", "tell"],
)
def test_dashboards_writes_are_refused(server: Server, study: str, method: str, path: str):
    path = path.format(id=find_study_id(server, study))
    before = server.client.get("/studies").json()

    answer = server.client.request(method, path, json={"study_name": "renamed", "state": "Fail"})

    assert answer.status_code == 405
    assert server.client.get("/studies").json() == before


def test_strangers_see_neither_page(server: Server):
    for path in ("/", "/dashboard", "/api/studies", "/ui/dashboard?study=x"):
        assert httpx.get(server.url + path).status_code == 401


def find_study_id(server: Server, name: str) -> int:
    answer = poll(
        lambda: server.client.get("/api/studies"), what="the dashboard", accept=is_success
    )
    studies = answer.json()["study_summaries"]
    (study_id,) = (study["study_id"] for study in studies if study["study_name"] == name)
    return study_id


def is_success(answer: httpx.Response) -> bool:
    return answer.is_success


@contextmanager
def offline(browser: Browser) -> Iterator[None]:
    unthrottled = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    browser.command("Network.enable")
    browser.command("Network.emulateNetworkConditions", offline=True, **unthrottled)
    try:
        yield
    finally:
        browser.command("Network.emulateNetworkConditions", offline=False, **unthrottled)


@contextmanager
def run_server(data_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "service.cli.main", "serve", "--port", "0"]
    environment = {name: value for name, value in os.environ.items() if "ASKTELL" not in name}
    process = subprocess.Popen([*command, "--data-dir", str(data_dir)], env=environment)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_SECONDS)


def read_if_there(path: Path, process: subprocess.Popen[bytes]) -> str | None:
    assert process.poll() is None, "the server ended before it was ready"
    return path.read_text().strip() if path.exists() else None
