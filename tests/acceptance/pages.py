"""A real server whose pages a real browser looks at, and what both need in tests."""

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

from tests.acceptance.browser import Browser, open_browser, poll

START_SECONDS = 60
STOP_SECONDS = 30

WANDB = "https://wandb.example/ada/digits"

# The row of a study in the overview's table, whatever its name is.
FIND_ROW = """
const row = [...document.querySelectorAll("#studies tr")]
  .find((row) => row.querySelector("[data-part=name]").textContent === arguments[0]);
"""
ROW_SAYS = FIND_ROW + "return row !== undefined && row.innerText.includes(arguments[1]);"
SOME_SAYS = """
const [selector, ...words] = arguments;
return [...document.querySelectorAll(selector)]
  .find((each) => words.every((word) => each.innerText.includes(word))) ?? null;
"""
OPEN_LOG = SOME_SAYS.replace("?? null", ".querySelector('[data-part=log]').click()")


@dataclass(frozen=True)
class Server:
    """A running `asktell serve`, with its worker inside and no settings."""

    url: str
    client: httpx.Client

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self.client.post(path, json=body).raise_for_status().json()

    def make_study(self, name: str, **fields: Any) -> None:
        space = {"x": {"type": "float", "low": 0, "high": 1}}
        self.post("/studies", {"name": name, "direction": "maximize", "space": space, **fields})

    def run_trial(self, study: str, value: float) -> None:
        (trial,) = self.post(f"/studies/{study}/ask", {})["trials"]
        outcome = {"state": "COMPLETE", "values": value}
        self.post(f"/studies/{study}/trials/{trial['number']}/tell", outcome)

    def log_in(self, browser: Browser) -> None:
        browser.open(self.post("/login-links", {})["url"])


@contextmanager
def run_server(data_dir: Path) -> Iterator[Server]:
    """Starts a server of its own on the empty folder `data_dir`, and stops it."""
    with _run_process(data_dir) as process:
        url = poll(
            lambda: _read_if_there(data_dir / "address", process),
            what="the server's address",
            within_seconds=START_SECONDS,
        )
        token = (data_dir / "token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
            yield Server(url, client)


@contextmanager
def open_logged_in(server: Server, profile: Path) -> Iterator[Browser]:
    """A browser with an administrator's session."""
    with open_browser(profile) as browser:
        server.log_in(browser)
        yield browser


def make_runs(server: Server) -> None:
    """A sweep named `runs`, in a queue that only a worker played by hand serves."""
    launch = {"executor": "wandb", "program": "train.py", "queue": "elsewhere"}
    server.post("/sweeps", {"name": "runs", "direction": "minimize", "launch": launch})


def claim_run(server: Server) -> str:
    """The id of the attempt of `runs` that such a worker was given; it made the mirror as well."""
    worker = {"worker_id": "hand", "queue": "elsewhere", "executors": ["wandb"]}
    assert len(server.post("/mirrors/claim", worker)["mirrors"]) == 1
    told = {"worker_id": "hand", "external_ref": "ada/digits/k1", "problem": "W&B is away."}
    server.post("/sweeps/runs/mirror", told | {"url": f"{WANDB}/sweeps/k1"})
    wanted = worker | {"worker_name": "hand", "host": "box", "count": 1}
    (attempt,) = server.post("/attempts/claim", wanted)["attempts"]
    identity: str = attempt["id"]
    return identity


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
def _run_process(data_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "service.cli.main", "serve", "--port", "0"]
    environment = {name: value for name, value in os.environ.items() if "ASKTELL" not in name}
    process = subprocess.Popen([*command, "--data-dir", str(data_dir)], env=environment)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_SECONDS)


def _read_if_there(path: Path, process: subprocess.Popen[bytes]) -> str | None:
    assert process.poll() is None, "the server ended before it was ready"
    return path.read_text().strip() if path.exists() else None
