"""Do reports of a study wait for its sampler? GPSampler, which runs beside the server, and Random.

    python -m benchmarks.beside [--trials 50] [--bursts 5] [--rounds 3]

16 clients ask a study of so many trials at once, and each tells its trial; meanwhile four others
report to running trials of the same study, every 20 ms each. Reports that begin while an ask is
under way count. Before each burst the same four report to a study of which nobody asks anything.
Contestants take turns. Prints a Markdown table of medians over all rounds. Needs torch.
"""

import argparse
import asyncio
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import httpx

from benchmarks.cycle import SPACE, objective, percentile
from benchmarks.servers import Measured, open_measured

_SAMPLERS = {"Random": "RandomSampler", "GP": "GPSampler"}
_ASKERS = 16
_REPORTERS = 4
_PAUSE_SECONDS = 0.02
_IDLE_SECONDS = 2.0


@dataclass(slots=True)
class _Figures:
    """Seconds."""

    ask: list[float] = field(default_factory=list)
    idle: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--bursts", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if find_spec("torch") is None:
        print("torch is not installed, which GPSampler needs.")
        return
    figures = {name: _Figures() for name in _SAMPLERS}
    with open_measured() as measured:
        for number in range(arguments.rounds):
            for name in _SAMPLERS:
                measuring = _measure(measured, name, number, arguments, figures[name])
                asyncio.run(measuring)
    _print(figures)


def _print(figures: dict[str, _Figures]) -> None:
    print(
        "| sampler | 16 asks: p50, slowest s | reports meanwhile: p50, p95, slowest ms "
        "| reports, nobody asks: p50, p95 ms |"
    )
    print("| --- | --- | --- | --- |")
    for name, found in figures.items():
        busy = [1e3 * percentile(found.busy, part) for part in (0.5, 0.95, 1.0)]
        idle = [1e3 * percentile(found.idle, part) for part in (0.5, 0.95)]
        ask = [percentile(found.ask, part) for part in (0.5, 1.0)]
        print(
            f"| {name} | {ask[0]:.2f}, {ask[1]:.2f} | {busy[0]:.1f}, {busy[1]:.1f}, {busy[2]:.1f} "
            f"| {idle[0]:.1f}, {idle[1]:.1f} |"
        )


async def _measure(
    measured: Measured, sampler: str, number: int, arguments: Any, figures: _Figures
) -> None:
    headers = {"Authorization": f"Bearer {measured.token}"}
    async with httpx.AsyncClient(base_url=measured.url, headers=headers, timeout=600) as http:
        path = f"/studies/{sampler}-{number}"
        await _create(http, path, _SAMPLERS[sampler], arguments.trials)
        running = await _ask(http, path, _REPORTERS)
        # The process beside the server starts with the first draw.
        await _ask_and_tell(http, path, [])
        reporting = _Reporting(http, path, [trial["number"] for trial in running])
        for _ in range(arguments.bursts):
            figures.idle += await reporting.run(asyncio.sleep(_IDLE_SECONDS))
            asks = (_ask_and_tell(http, path, figures.ask) for _ in range(_ASKERS))
            figures.busy += await reporting.run(asyncio.gather(*asks))


async def _create(http: httpx.AsyncClient, path: str, sampler: str, n_trials: int) -> None:
    spec = {
        "name": path.rpartition("/")[2],
        "direction": "minimize",
        "space": SPACE,
        "sampler": {"type": sampler},
        "pruner": {"type": "MedianPruner"},
        "seed": 1,
    }
    (await http.post("/studies", json=spec)).raise_for_status()
    # Drawn by another study, so that filling this one takes no time.
    filler = {**spec, "name": f"filler-{spec['name']}", "sampler": {"type": "RandomSampler"}}
    (await http.post("/studies", json=filler)).raise_for_status()
    drawn = await _ask(http, f"/studies/{filler['name']}", n_trials)
    finished = [
        {
            "state": "COMPLETE",
            "params": trial["params"],
            "values": objective(trial["params"]),
            "intermediate_values": [{"step": 0, "value": objective(trial["params"])}],
        }
        for trial in drawn
    ]
    (await http.post(f"{path}/trials", json={"trials": finished})).raise_for_status()


async def _ask(http: httpx.AsyncClient, path: str, count: int) -> list[dict[str, Any]]:
    asked = await http.post(f"{path}/ask", json={"count": count})
    asked.raise_for_status()
    trials: list[dict[str, Any]] = asked.json()["trials"]
    return trials


async def _ask_and_tell(http: httpx.AsyncClient, path: str, latencies: list[float]) -> None:
    began = time.perf_counter()
    (trial,) = await _ask(http, path, 1)
    latencies.append(time.perf_counter() - began)
    told = {"state": "COMPLETE", "values": objective(trial["params"])}
    (await http.post(f"{path}/trials/{trial['number']}/tell", json=told)).raise_for_status()


class _Reporting:
    """Reports to running trials while something else goes on."""

    def __init__(self, http: httpx.AsyncClient, path: str, numbers: list[int]) -> None:
        self._http = http
        self._path = path
        self._numbers = numbers
        self._step = 0

    async def run(self, other: Any) -> list[float]:
        """Returns the latencies of the reports that began before the other thing was over."""
        latencies: list[float] = []
        over = asyncio.ensure_future(other)
        await asyncio.gather(*(self._report(each, over, latencies) for each in self._numbers))
        await over
        return latencies

    async def _report(
        self, number: int, over: "asyncio.Future[Any]", latencies: list[float]
    ) -> None:
        while not over.done():
            self._step += 1
            point = {"step": self._step, "value": 1e9}
            began = time.perf_counter()
            answer = await self._http.post(f"{self._path}/trials/{number}/report", json=point)
            latencies.append(time.perf_counter() - began)
            answer.raise_for_status()
            await asyncio.sleep(_PAUSE_SECONDS)


if __name__ == "__main__":
    main()
