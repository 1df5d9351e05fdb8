"""Do other studies wait for Python of users that means no good, or for a sampler of theirs?

    python -m benchmarks.hostile [--rounds 3] [--seconds 8]

Four clients work on a study with a JSON space, TPESampler and MedianPruner: an ask, three reports
and a tell, 20 ms apart each. Meanwhile four other clients ask studies of Python, one each, as fast
as they are answered: of no Python at all, of files that loop, that print, that take memory or that
start processes, and of a random walk with a pruner, both written by a user, where each trial is
reported three times and told. All of them take turns. Prints a Markdown table of medians and 95th
percentiles over all rounds, and how many trials the others got or failed.
"""

import argparse
import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from benchmarks.cycle import SPACE, percentile
from benchmarks.servers import Measured, open_measured

_CLIENTS = 4
_PAUSE_SECONDS = 0.02
_STEPS = 3

_HOSTILE = {
    "loops": "while True:\n        pass",
    "prints": "while True:\n        print('x' * 1000)",
    "takes memory": "kept = [bytearray(1 << 20) for _ in range(1 << 20)]",
    "starts processes": "import os\n    while True:\n        os.fork()",
}
_WALK = """
class Walk(optuna.samplers.BaseSampler):
    def __init__(self):
        self.sampler = optuna.samplers.RandomSampler(seed=1)

    def infer_relative_search_space(self, study, trial):
        return optuna.search_space.intersection_search_space(study.get_trials(deepcopy=False))

    def sample_relative(self, study, trial, search_space):
        return {"x": study.best_params["x"]} if "x" in search_space else {}

    def sample_independent(self, *args):
        return self.sampler.sample_independent(*args)


class Never(optuna.pruners.BasePruner):
    def prune(self, study, trial):
        return len(study.get_trials(deepcopy=False)) == 0


def sampler():
    return Walk()


def pruner():
    return Never()
"""


@dataclass(slots=True)
class _Figures:
    """Seconds, and counts of what the others got."""

    ask: list[float] = field(default_factory=list)
    report: list[float] = field(default_factory=list)
    answered: int = 0
    refused: int = 0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0)
    arguments = parser.parse_args()
    os.environ["ASKTELL_USER_CODE"] = "contained"
    figures = {name: _Figures() for name in ("nobody", *_HOSTILE, "a user's sampler and pruner")}
    with open_measured() as measured:
        for number in range(arguments.rounds):
            for name, found in figures.items():
                asyncio.run(_measure(measured, name, number, arguments.seconds, found))
    _print(figures)


def _print(figures: dict[str, _Figures]) -> None:
    print("| beside it | ask p50, p95 ms | report p50, p95 ms | the others: trials, failed |")
    print("| --- | --- | --- | --- |")
    for name, found in figures.items():
        ask, report = (
            ", ".join(f"{1e3 * percentile(values, part):.1f}" for part in (0.5, 0.95))
            for values in (found.ask, found.report)
        )
        print(f"| {name} | {ask} | {report} | {found.answered}, {found.refused} |")


async def _measure(
    measured: Measured, name: str, number: int, seconds: float, figures: _Figures
) -> None:
    headers = {"Authorization": f"Bearer {measured.token}"}
    async with httpx.AsyncClient(base_url=measured.url, headers=headers, timeout=120) as http:
        label = f"{name}-{number}".replace(" ", "-").replace("'", "")
        await _create(http, label, space=SPACE, pruner={"type": "MedianPruner"})
        others = await _list_others(http, name, label, figures)
        until = time.perf_counter() + seconds
        honest = (_repeat(until, lambda: _live(http, label, figures)) for _ in range(_CLIENTS))
        beside = [asyncio.create_task(_repeat(until, other)) for other in others]
        await asyncio.gather(*honest)
        await asyncio.gather(*beside)


async def _list_others(
    http: httpx.AsyncClient, name: str, label: str, figures: _Figures
) -> list[Callable[[], Awaitable[None]]]:
    if name == "nobody":
        return []
    names = [f"{label}-{client}" for client in range(_CLIENTS)]
    for each in names:
        if name in _HOSTILE:
            # The first run, when the study is created, is to pass.
            source = f"def objective(trial):\n    if trial.number:\n        {_indent(name)}\n"
            await _create(http, each, python={"source": source})
            await http.post(f"/studies/{each}/ask", json={})
        else:
            await _create(http, each, space=SPACE, python={"source": _WALK})
    attempt = _attack if name in _HOSTILE else _walk
    return [lambda each=each: attempt(http, each, figures) for each in names]


def _indent(name: str) -> str:
    return _HOSTILE[name].replace("\n    ", "\n        ")


async def _create(http: httpx.AsyncClient, name: str, **parts: Any) -> None:
    body = {"name": name, "direction": "minimize", "seed": 1, **parts}
    (await http.post("/studies", json=body)).raise_for_status()


async def _repeat(until: float, work: Callable[[], Awaitable[None]]) -> None:
    while time.perf_counter() < until:
        await work()


async def _attack(http: httpx.AsyncClient, name: str, figures: _Figures) -> None:
    answer = await http.post(f"/studies/{name}/ask", json={})
    figures.answered += answer.is_success
    figures.refused += answer.json().get("code") == "python-failed"


async def _walk(http: httpx.AsyncClient, name: str, figures: _Figures) -> None:
    await _live(http, name, _Figures(), pause_seconds=0.0)
    figures.answered += 1


async def _live(
    http: httpx.AsyncClient, name: str, figures: _Figures, *, pause_seconds: float = _PAUSE_SECONDS
) -> None:
    async def timed(latencies: list[float], path: str, body: dict[str, Any]) -> Any:
        began = time.perf_counter()
        answer = await http.post(f"/studies/{name}/{path}", json=body)
        latencies.append(time.perf_counter() - began)
        answer.raise_for_status()
        await asyncio.sleep(pause_seconds)
        return answer.json()

    asked = await timed(figures.ask, "ask", {"count": 1})
    (trial,) = asked["trials"]
    path, value = f"trials/{trial['number']}", (trial["params"]["x"] - 1) ** 2
    for step in range(_STEPS):
        await timed(figures.report, f"{path}/report", {"step": step, "value": value - step})
    await timed([], f"{path}/tell", {"state": "COMPLETE", "values": [value]})


if __name__ == "__main__":
    main()
