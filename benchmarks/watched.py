"""Do asks wait for people who look at the study? Our page of it, and optuna-dashboard's.

    python -m benchmarks.watched [--trials 5000] [--rounds 3] [--seconds 20]

One client asks and tells on a study of so many trials with 20 reports each, 20 ms between two
cycles, while nobody looks, while our page of the study is open in a tab, or optuna-dashboard's. A
tab is the requests that it sends, at its pace and with its ETags, from a process of its own; a
browser would take processor time besides, which on a team's machine is another's. It is opened in
the counted time. Contestants take turns. Prints a Markdown table of medians and 95th percentiles.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from benchmarks.cycle import SPACE, objective, percentile
from benchmarks.servers import Measured, open_measured

_STEPS = 20
_BATCH = 200
_PAUSE_SECONDS = 0.02
_TABS = {"nobody": None, "our study page": "page", "optuna-dashboard": "dashboard"}


@dataclass(slots=True)
class _Figures:
    """Seconds."""

    ask: list[float] = field(default_factory=list)
    tell: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0)
    arguments = parser.parse_args()
    figures = {name: _Figures() for name in _TABS}
    with open_measured(dashboard=True) as measured, _connect(measured) as http:
        _fill(http, arguments.trials)
        for _ in range(arguments.rounds):
            for name, tab in _TABS.items():
                with _watching(measured, tab):
                    _work(http, arguments.seconds, figures[name])
    _print(figures)


def _print(figures: dict[str, _Figures]) -> None:
    print("| who looks | ask p50, p95, slowest ms | tell p50, p95 ms |")
    print("| --- | --- | --- |")
    for name, found in figures.items():
        ask = ", ".join(f"{1e3 * percentile(found.ask, part):.1f}" for part in (0.5, 0.95, 1.0))
        tell = ", ".join(f"{1e3 * percentile(found.tell, part):.1f}" for part in (0.5, 0.95))
        print(f"| {name} | {ask} | {tell} |")


def _connect(measured: Measured) -> httpx.Client:
    headers = {"Authorization": f"Bearer {measured.token}"}
    return httpx.Client(base_url=measured.url, headers=headers, timeout=120)


def _fill(http: httpx.Client, n_trials: int) -> None:
    spec = {
        "name": "filler",
        "direction": "minimize",
        "space": SPACE,
        "sampler": {"type": "RandomSampler"},
        "seed": 1,
    }
    http.post("/studies", json=spec).raise_for_status()
    http.post("/studies", json={**spec, "name": "watched"}).raise_for_status()
    for _ in range(0, n_trials, _BATCH):
        asked = http.post("/studies/filler/ask", json={"count": _BATCH}).raise_for_status()
        trials = [_finish(trial["params"]) for trial in asked.json()["trials"]]
        http.post("/studies/watched/trials", json={"trials": trials}).raise_for_status()


def _finish(params: dict[str, Any]) -> dict[str, Any]:
    value = objective(params)
    reports = [{"step": step, "value": value + _STEPS - step} for step in range(_STEPS)]
    return {
        "state": "COMPLETE",
        "params": params,
        "values": value,
        "intermediate_values": reports,
    }


def _work(http: httpx.Client, seconds: float, figures: _Figures) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = time.perf_counter()
        (trial,) = http.post("/studies/watched/ask", json={}).raise_for_status().json()["trials"]
        figures.ask.append(time.perf_counter() - began)
        outcome = {"state": "COMPLETE", "values": objective(trial["params"])}
        began = time.perf_counter()
        path = f"/studies/watched/trials/{trial['number']}/tell"
        http.post(path, json=outcome).raise_for_status()
        figures.tell.append(time.perf_counter() - began)
        time.sleep(_PAUSE_SECONDS)


@contextmanager
def _watching(measured: Measured, tab: str | None) -> Iterator[None]:
    if tab is None:
        yield
        return
    command = [sys.executable, "-m", "benchmarks.tabs", tab, measured.url, "watched"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(f"{measured.token}\n".encode())
    process.stdin.flush()
    try:
        yield
        if process.poll() is not None:
            raise RuntimeError(f"The tab {tab} was closed before the end.")
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
