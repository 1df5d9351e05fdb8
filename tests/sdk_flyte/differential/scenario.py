"""Runs with either implementation: `python scenario.py MODULE` writes what each case came to.

It knows nothing of who compares what it writes.
"""

import asyncio
import importlib
import json
import math
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import flytekit as fl
import optuna
from flytekit.exceptions.eager import EagerException
from postponed import square as postponed_square

optuna.logging.set_verbosity(optuna.logging.ERROR)
plugin: Any = importlib.import_module(sys.argv[1])
Optimizer, optimize, suggest = plugin.Optimizer, plugin.optimize, plugin.suggest
process = importlib.import_module(f"{sys.argv[1]}.optimizer").process


class Pair(NamedTuple):
    loss: float
    size: float


@fl.task
async def mixed(x: float, y: int, z: str, power: int) -> float:
    return x**power + y + len(z)


@fl.task
async def keyed(params: dict[str, dict[str, float]]) -> float:
    return params["optimizer"]["lr"]


@fl.task
async def pair(x: float) -> tuple[float, float]:
    return x, -x


@fl.task
async def named_pair(x: float) -> Pair:
    return Pair(x, -x)


@fl.task
async def whole(x: float) -> int:
    return int(x)


@fl.task
async def listed(x: float) -> list[float]:
    return [x]


@fl.task
async def failing(x: float) -> float:
    if x <= 1:
        raise ValueError("bad")
    return x


@fl.task
def synchronous(x: float) -> float:
    return x


@fl.workflow
def workflow(x: float) -> float:
    return synchronous(x=x)


# With decks flytekit asks pip twice what is installed, which takes seconds.
@fl.eager(deck_fields=())
async def eager(x: float) -> float:
    return await mixed(x=x, y=1, z="a", power=2)


def return_x(trial: optuna.Trial, x: Any = 1.0) -> Any:
    return x


def take_all(trial: optuna.Trial, **inputs: Any) -> float:
    return float(len(inputs))


def draw(trial: optuna.Trial, high: float) -> float:
    return trial.suggest_float("x", 0, high) + trial.suggest_int("y", 1, 3)


async def draw_later(trial: optuna.Trial, high: float) -> float:
    return draw(trial, high)


def draw_for_task(trial: optuna.Trial) -> Awaitable[float]:
    return keyed(params={"optimizer": {"lr": trial.suggest_float("lr", 0, 1)}})


def two_directions() -> optuna.Study:
    return optuna.create_study(directions=["minimize", "maximize"])


STUDIES = (optuna.create_study, two_directions)


def describe(study: optuna.Study) -> dict[str, Any]:
    kinds: dict[str, set[str]] = {}
    for trial in study.trials:
        for name, value in trial.params.items():
            kinds.setdefault(name, set()).add(type(value).__name__)
    return {
        "states": dict(Counter(trial.state.name for trial in study.trials)),
        "params": {name: sorted(types) for name, types in sorted(kinds.items())},
        "values": sorted({len(trial.values or []) for trial in study.trials}),
    }


def run(objective: Any, *awaits: dict[str, Any], **options: Any) -> Callable[[], dict[str, Any]]:
    """A case that awaits an optimizer of three trials, once for each set of inputs."""

    async def case() -> dict[str, Any]:
        study = options.pop("study", optuna.create_study)()
        optimizer = Optimizer(objective, 2, 3, study, **options)
        error = None
        try:
            for inputs in awaits:
                await optimizer(**inputs)
        except Exception as raised:
            error = type(raised).__name__
        return {"error": error, **describe(study)}

    return lambda: asyncio.run(case())


def make(*arguments: Any, maker: Any = Optimizer, **options: Any) -> Callable[[], dict[str, Any]]:
    """A case that makes an optimizer, or something else."""

    def case() -> dict[str, Any]:
        given = [
            part() if part in (two_directions, optuna.create_study) else part for part in arguments
        ]
        try:
            made = maker(*given, **options)
        except Exception as raised:
            return {"error": type(raised).__name__}
        fields = ("concurrency", "n_trials", "delay", "is_imperative")
        return {"error": None, **{name: getattr(made, name, None) for name in fields}}

    return case


def fail_once(trial: optuna.Trial) -> float:
    if trial.number == 1:
        raise EagerException("elsewhere")
    return 1.0


def prune(trial: optuna.Trial) -> float:
    raise optuna.TrialPruned


def process_nested() -> Any:
    trial = optuna.create_study().ask()
    given = {"a": 1, "b": {"c": suggest.float(0, 1), "d": {"e": suggest.category(["k"])}}}
    done = process(trial, given)
    return {"params": sorted(trial.params), "same": done is given, "kept": done["a"]}


def read_name() -> Any:
    return getattr(optimize(mixed), "name", None)


NESTED = {"params": {"optimizer": {"lr": suggest.float(0, 1)}}}
FLAT = {
    "x": suggest.float(low=-10, high=10),
    "y": suggest.integer(low=-10, high=10),
    "z": suggest.category(["a", "bc"]),
    "power": 2,
}

CASES: dict[str, Callable[[], Any]] = {
    "run task": run(mixed, FLAT),
    "run twice": run(mixed, FLAT, FLAT),
    "run steps and logs": run(
        mixed,
        {
            "x": suggest.float(1.0, 2.0, 0.25),
            "y": suggest.integer(3, 9, step=2),
            "z": suggest.category(["a"]),
            "power": suggest.integer(1, 8, log=True),
        },
    ),
    "run nested": run(keyed, NESTED),
    "run eager": run(eager, {"x": suggest.float(0, 1)}),
    "run pair": run(pair, {"x": suggest.float(0, 1)}, study=two_directions),
    "run callback": run(draw, {"high": 2.0}),
    "run async callback": run(draw_later, {"high": 2.0}),
    "run callback of a task": run(draw_for_task, {}),
    "run with a failure elsewhere": run(fail_once, {}),
    "run with a delay": run(return_x, {}, delay=0),
    "make positional": make(mixed, 2, 3, optuna.create_study, 1),
    "make by name": make(objective=mixed, concurrency=2, n_trials=3),
    "make of a callback": make(draw, 1, 1),
    "make of an eager task": make(eager, 1, 1),
    "make of a pair": make(pair, 1, 1, two_directions),
    "make with concurrency 0": make(mixed, 0, 1),
    "make with concurrency 1.5": make(mixed, 1.5, 1),
    "make with no trials": make(mixed, 1, 0),
    "make with a text of trials": make(mixed, 1, "3"),
    "make with no study": make(mixed, 1, 1, "study"),
    "make with delay -1": make(mixed, 1, 1, None, -1),
    "make with a text of delay": make(mixed, 1, 1, None, "1"),
    "make of nothing": make(None, 1, 1),
    "make of a function without a trial": make(describe, 1, 1),
    "make of a synchronous task": make(synchronous, 1, 1),
    "make of a workflow": make(workflow, 1, 1),
    "make of a whole": make(whole, 1, 1),
    "make of too few values": make(mixed, 1, 1, two_directions),
    "make of too many values": make(pair, 1, 1),
    "decorate bare": make(draw, maker=optimize),
    "decorate with positions": make(draw, 2, 3, maker=optimize),
    "decorate with names": make(draw, maker=optimize(concurrency=2, n_trials=3)),
    "decorate nothing": make(3, maker=optimize),
    "suggest low above high": make(2, 1, maker=suggest.float),
    "suggest a step too large": make(0, 1, 2, maker=suggest.float),
    "suggest an integer step too large": make(0, 5, 6, maker=suggest.integer),
    "process": process_nested,
    # Where the plugin is not what a superset of it should be:
    "make of postponed annotations": make(postponed_square, 1, 1),
    "make of a named pair": make(named_pair, 1, 1, two_directions),
    "make of a list": make(listed, 1, 1),
    "make with concurrency True": make(mixed, True, 1),
    "make with delay True": make(mixed, 1, 1, None, True),
    "make with delay 0.5": make(mixed, 1, 1, None, 0.5),
    "suggest one value": make(1, 1, maker=suggest.float),
    "suggest step 0": make(0, 1, 0, maker=suggest.float),
    "suggest step -1": make(0, 5, -1, maker=suggest.integer),
    "suggest log from 0": make(0, 1, None, True, maker=suggest.float),
    "suggest log and step": make(1, 2, 0.5, True, maker=suggest.float),
    "suggest texts": make("0", "1", maker=suggest.float),
    "suggest NaN": make(math.nan, 1, maker=suggest.float),
    "suggest of no choices": make([], maker=suggest.category),
    "run NaN": run(return_x, {"x": math.nan}),
    "run None": run(return_x, {"x": None}),
    "run dictionary": run(return_x, {"x": {}}),
    "run pruned": run(prune, {}),
    "run failing task": run(failing, {"x": suggest.float(0, 1)}),
    "run unknown input": run(mixed, {**FLAT, "other": 1}),
    "run raw suggestion": run(return_x, {"x": suggest.float(0, 1)}),
    "run collision": run(take_all, {"a": {"b": suggest.float(0, 1)}, "a.b": suggest.float(0, 1)}),
    "name of a decorated task": read_name,
}

if __name__ == "__main__":
    json.dump({name: case() for name, case in CASES.items()}, sys.stdout)
