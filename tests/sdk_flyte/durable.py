"""An eager task whose study a server keeps, with tasks that end when a test wants them to."""

import asyncio
import os
from pathlib import Path
from typing import Any

import asktell
import flytekit as fl
import optuna
from asktell.flyte import Optimizer, suggest


def is_there(path: str) -> bool:
    return Path(path).exists()


@fl.task
async def wait_for(path: str, x: float) -> float:
    """Ends as soon as the file is there: at once, but for values above 0.5."""
    while x > 0.5 and not is_there(path):  # noqa: ASYNC110 - the test is another process
        await asyncio.sleep(0.02)
    return x


@fl.task
async def fail(x: float) -> float:
    if x < 2:
        raise ValueError("bad")
    return x


@fl.task
async def report(token: str, x: float) -> float:
    """Reports to the server as the trial that it is part of; its token would be a secret."""
    os.environ["ASKTELL_TOKEN"] = token
    trial = asktell.current_trial()
    for step in range(3):
        trial.report(x, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return x


# With decks flytekit asks pip twice what is installed, which takes seconds.
@fl.eager(deck_fields=())
async def search(url: str, token: str, name: str, path: str) -> int:
    optimizer = open_optimizer(wait_for, url, token, name, [0.1, 0.2, 0.8, 0.9])
    await optimizer(x=suggest.float(0, 1), path=path)
    return sum(trial.state.name == "COMPLETE" for trial in optimizer.study.trials)


@fl.eager(deck_fields=())
async def fail_one(url: str, token: str, name: str, path: str) -> int:
    """Awaits two executions, of which one fails as soon as the file is there."""

    async def objective(trial: asktell.Trial, x: float) -> float:
        if x > 0.5:
            return await wait_for(path=f"{path}-never", x=x)
        await wait_for(path=path, x=1.0)
        return await fail(x=x)

    optimizer = open_optimizer(objective, url, token, name, [0.1, 0.9], on_error="raise")
    await optimizer(x=suggest.float(0, 1))
    return 0


@fl.eager(deck_fields=())
async def fail_alone(url: str, token: str, name: str, path: str) -> int:
    """Awaits an execution that does not end, and fails as soon as the file is there."""

    async def objective(trial: asktell.Trial, x: float) -> float:
        if x > 0.5:
            return await wait_for(path=f"{path}-never", x=x)
        while not is_there(path):  # noqa: ASYNC110 - the test is another process
            await asyncio.sleep(0.02)
        raise ValueError("bad")

    optimizer = open_optimizer(objective, url, token, name, [0.1, 0.9], on_error="raise")
    await optimizer(x=suggest.float(0, 1))
    return 0


@fl.eager(deck_fields=())
async def report_all(url: str, token: str, name: str) -> dict[str, str]:
    """The state of each trial by its parameter."""
    values = [0.1, 0.2, 0.3, 0.9]
    optimizer = open_optimizer(
        report, url, token, name, values, pruner={"type": "ThresholdPruner", "args": {"upper": 0.5}}
    )
    await optimizer(x=suggest.float(0, 1), token=token)
    return {str(trial.params["x"]): trial.state.name for trial in optimizer.study.trials}


def open_optimizer(
    objective: Any, url: str, token: str, name: str, values: list[float], **options: Any
) -> Optimizer:
    """Tries these values of x, two at a time."""
    return Optimizer(
        objective,
        2,
        len(values),
        server=asktell.Client(url, token),
        study_name=name,
        sampler={"type": "GridSampler", "args": {"search_space": {"x": values}}},
        **options,
    )
