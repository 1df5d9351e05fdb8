"""Ask latency as a study grows: does anything but the sampler get slower?

    python -m benchmarks.growth [--sizes 100 1000 10000]

Fills a study by the service itself, then measures single asks by one client, each told at once.
Prints a Markdown table: the ask's median beside the CPU time that the same sampler, seeded per
call, needs alone on the same history.
"""

import argparse
import asyncio
import statistics
import time
from typing import Any

import httpx
import optuna
from optuna.trial import FrozenTrial, TrialState

from benchmarks.cycle import SAMPLERS, SPACE, objective
from benchmarks.servers import Measured, open_measured
from service.domain.studies import Component
from service.samplers import build_sampler, resolve_sampler
from service.search_space import parse_space

_ASKS = 60
_BATCH = 200
_FILLERS = 16


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 10000])
    arguments = parser.parse_args()
    print("| sampler | trials | ask p50 ms | sampler alone ms | difference ms |")
    print("| --- | --- | --- | --- | --- |")
    with open_measured() as measured:
        for sampler in SAMPLERS:
            asyncio.run(_measure(measured, sampler, sorted(arguments.sizes)))


async def _measure(measured: Measured, sampler: str, sizes: list[int]) -> None:
    headers = {"Authorization": f"Bearer {measured.token}"}
    async with httpx.AsyncClient(base_url=measured.url, headers=headers, timeout=300) as http:
        name = f"growth-{sampler}"
        await _create(http, name, sampler)
        for size in sizes:
            await _fill(http, name, size)
            asked = await _ask_repeatedly(http, name)
            alone = _sample_alone(measured, name, sampler)
            print(
                f"| {sampler} | {size} | {asked * 1e3:.1f} | {alone * 1e3:.1f} "
                f"| {(asked - alone) * 1e3:.1f} |",
                flush=True,
            )


async def _create(http: httpx.AsyncClient, name: str, sampler: str) -> None:
    spec = {
        "name": name,
        "direction": "minimize",
        "space": SPACE,
        "sampler": {"type": SAMPLERS[sampler]},
        "seed": 1,
    }
    (await http.post("/studies", json=spec)).raise_for_status()


async def _fill(http: httpx.AsyncClient, name: str, size: int) -> None:
    """Brings the study to `size` trials, with parameters fixed so that no sampler runs long."""
    study = (await http.get(f"/studies/{name}")).json()
    rng = optuna.samplers.RandomSampler(seed=study["counts"]["total"])
    distributions = parse_space(SPACE).distributions
    queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    for _ in range(size - study["counts"]["total"]):
        queue.put_nowait(
            {
                key: rng.sample_independent(None, None, key, found)
                for key, found in distributions.items()
            }
        )

    async def fill() -> None:
        while not queue.empty():
            await _add_trial(http, name, queue.get_nowait())

    await asyncio.gather(*(fill() for _ in range(_FILLERS)))


async def _add_trial(http: httpx.AsyncClient, name: str, params: dict[str, Any]) -> None:
    asked = await http.post(f"/studies/{name}/ask", json={"params": params})
    asked.raise_for_status()
    trial = asked.json()["trials"][0]
    await _tell(http, name, trial)


async def _tell(http: httpx.AsyncClient, name: str, trial: dict[str, Any]) -> None:
    told = {"state": "COMPLETE", "values": objective(trial["params"])}
    path = f"/studies/{name}/trials/{trial['number']}/tell"
    (await http.post(path, json=told)).raise_for_status()


async def _ask_repeatedly(http: httpx.AsyncClient, name: str) -> float:
    latencies = []
    for _ in range(_ASKS):
        began = time.perf_counter()
        asked = await http.post(f"/studies/{name}/ask", json={})
        latencies.append(time.perf_counter() - began)
        await _tell(http, name, asked.json()["trials"][0])
    return statistics.median(latencies)


def _sample_alone(measured: Measured, name: str, sampler: str) -> float:
    """The sampler's own CPU time for an ask, on the same trials in Optuna's own memory."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = parse_space(SPACE)
    component = resolve_sampler(Component(SAMPLERS[sampler]), space=space, n_objectives=1)
    study = optuna.create_study(sampler=build_sampler(component, seed=1, space=space))
    study.add_trials(_load_complete(measured, name))
    times = []
    for _ in range(_ASKS):
        began = time.process_time()
        trial = study.ask(space.distributions)
        times.append(time.process_time() - began)
        study.tell(trial, objective(trial.params))
    return statistics.median(times)


def _load_complete(measured: Measured, name: str) -> list[FrozenTrial]:
    study = optuna.load_study(study_name=name, storage=measured.database.sqlalchemy_url)
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


if __name__ == "__main__":
    main()
