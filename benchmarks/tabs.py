"""A browser's tab as the server sees it: `python -m benchmarks.tabs page|dashboard URL STUDY`.

The token is the first line of standard input. Runs until it is killed.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

_TRIAL_FIELDS = ("last_step", "latest_attempt")


@dataclass(slots=True)
class _Part:
    """Something that a page reads again after a rest."""

    path: str
    rest_seconds: float
    etag: str | None = None
    due_at: float = field(default=0.0)

    def read(self, http: httpx.Client) -> None:
        headers = {} if self.etag is None else {"If-None-Match": self.etag}
        answer = http.get(self.path, headers=headers)
        if answer.status_code >= httpx.codes.BAD_REQUEST:
            answer.raise_for_status()
        self.etag = answer.headers.get("ETag")
        self.due_at = time.perf_counter() + self.rest_seconds


def main() -> None:
    kind, url, study = sys.argv[1:]
    headers = {"Authorization": f"Bearer {sys.stdin.readline().strip()}"}
    with httpx.Client(base_url=url, headers=headers, timeout=120) as http:
        _TABS[kind](http, study)


def _show_page(http: httpx.Client, study: str) -> None:
    """Our page of the study: looks every two seconds, and reads what may have changed."""
    fields = "&".join(f"fields={name}" for name in _TRIAL_FIELDS)
    parts = [
        _Part(f"/studies/{study}", 2.0),
        _Part(f"/studies/{study}/trials?order=newest&limit=50&{fields}", 2.0),
        _Part(f"/studies/{study}/history?points=400", 5.0),
        _Part(f"/studies/{study}/curves?trials=40&points=100", 5.0),
        _Part(f"/studies/{study}/importances", 30.0),
    ]
    _read_on(http, parts)


def _show_dashboard(http: httpx.Client, study: str) -> None:
    """optuna-dashboard's: all trials at first, the new ones every ten seconds."""
    moved = http.get("/ui/dashboard", params={"study": study})
    path = f"/api/studies/{moved.headers['location'].rpartition('/')[2]}"
    while http.get("/api/meta").status_code == httpx.codes.SERVICE_UNAVAILABLE:
        time.sleep(1.0)
    after = 0
    while True:
        answer = http.get(path, params={"after": after}).raise_for_status()
        after += sum(trial["state"] != "Running" for trial in answer.json()["trials"])
        time.sleep(10.0)


def _read_on(http: httpx.Client, parts: list[_Part]) -> None:
    while True:
        for part in parts:
            if part.due_at <= time.perf_counter():
                part.read(http)
        time.sleep(0.1)


_TABS: dict[str, Callable[[httpx.Client, str], None]] = {
    "page": _show_page,
    "dashboard": _show_dashboard,
}

if __name__ == "__main__":
    main()
