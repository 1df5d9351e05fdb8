"""A real Chromium, driven over chromedriver's own HTTP protocol (W3C WebDriver)."""

import base64
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

DEADLINE_SECONDS = 60.0
LOOK_AGAIN_SECONDS = 0.05

CHROMIUM_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,800",
)


class Browser:
    """One window. A command that the browser refuses fails the test with its own complaint."""

    def __init__(self, driver: httpx.Client, session: str) -> None:
        self._driver = driver
        self._session = session

    def open(self, url: str) -> None:
        """Goes to `url` and waits for the page's load event."""
        self._post("url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """The value of a function body run in the page; a promise is awaited."""
        return self._post("execute/sync", {"script": script, "args": list(arguments)})

    def wait_for(self, script: str, *arguments: Any) -> Any:
        """Runs `script` until its value is truthy, and returns that."""
        return poll(lambda: self.run(script, *arguments), what=script)

    def read_errors(self) -> list[str]:
        """What the console complained about since the last call."""
        entries = self._post("se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def command(self, name: str, **parameters: Any) -> Any:
        """A command of the DevTools protocol."""
        return self._post("goog/cdp/execute", {"cmd": name, "params": parameters})

    def save_screenshot(self, path: Path) -> None:
        answer = self._driver.get(f"/session/{self._session}/screenshot").raise_for_status()
        path.write_bytes(base64.b64decode(answer.json()["value"]))

    def _post(self, command: str, body: dict[str, Any]) -> Any:
        answer = self._driver.post(f"/session/{self._session}/{command}", json=body)
        if answer.is_error:
            pytest.fail(f"{command}: {answer.json()['value']['message']}")
        return answer.json()["value"]


def poll(
    ask: Callable[[], Any],
    *,
    what: str,
    accept: Callable[[Any], bool] = bool,
    within_seconds: float = DEADLINE_SECONDS,
) -> Any:
    """The first acceptable answer; fails the test when none comes in time."""
    deadline = time.monotonic() + within_seconds
    while time.monotonic() < deadline:
        if accept(answer := ask()):
            return answer
        time.sleep(LOOK_AGAIN_SECONDS)
    return pytest.fail(f"not within {within_seconds:.0f} s: {what}")


@contextmanager
def open_browser(profile: Path) -> Iterator[Browser]:
    """Chromium with an empty profile in the folder `profile`; skips where there is none."""
    chromium, chromedriver = _find_chromium()
    with _run_driver(chromedriver) as address, httpx.Client(base_url=address, timeout=60) as driver:
        answer = driver.post("/session", json=_describe_session(chromium, profile))
        session = answer.raise_for_status().json()["value"]["sessionId"]
        try:
            yield Browser(driver, session)
        finally:
            driver.delete(f"/session/{session}")


def _find_chromium() -> tuple[str, str]:
    found = shutil.which("chromium"), shutil.which("chromedriver")
    if None in found and os.environ.get("CI") == "true" and os.geteuid() == 0:
        _install_chromium()
        found = shutil.which("chromium"), shutil.which("chromedriver")
    chromium, chromedriver = found
    if chromium is None or chromedriver is None:
        pytest.skip("needs Chromium: apt-get install chromium chromium-driver")
    return chromium, chromedriver


def _install_chromium() -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-qq", "-y", "--no-install-recommends"]
    for command in (["apt-get", "update", "-qq"], [*install, "chromium", "chromium-driver"]):
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def _run_driver(chromedriver: str) -> Iterator[str]:
    process = subprocess.Popen(
        [chromedriver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    with process:
        try:
            yield f"http://127.0.0.1:{_read_port(process)}"
        finally:
            process.terminate()


def _read_port(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    for line in process.stdout:
        if match := re.search(r"started successfully on port (\d+)", line):
            return int(match[1])
    return pytest.fail("chromedriver ended before it listened")


def _describe_session(chromium: str, profile: Path) -> dict[str, Any]:
    options = {
        "binary": chromium,
        "args": [*CHROMIUM_ARGUMENTS, f"--user-data-dir={profile}"],
    }
    wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
    return {"capabilities": {"alwaysMatch": wanted}}
