"""Runs with W&B's `sweeps` package: reads a question on stdin, writes the answer to stdout.

Knows nothing of Asktell; both sides compare what they make of the same JSON.
"""

import json
import sys
from typing import Any

import numpy as np
from sweeps import RunState, SweepRun, stop_runs
from sweeps.config import schema_violations_from_proposed_config
from sweeps.params import HyperParameter, HyperParameterSet

METRIC = "metric"


def list_stopped(histories: list[dict[str, Any]]) -> list[list[list[int]]]:
    """Returns for each history and after each of its events the runs that would be stopped."""
    return [_replay(history) for history in histories]


def _replay(history: dict[str, Any]) -> list[list[int]]:
    config = {
        "metric": {"name": METRIC, "goal": history["goal"]},
        "early_terminate": history["early_terminate"],
    }
    runs = [SweepRun(name=str(i), state=RunState.running) for i in range(history["n_runs"])]
    stopped = []
    for number, event in history["events"]:
        if isinstance(event, str):
            runs[number].state = RunState(event)
        else:
            runs[number].history.append({} if event is None else {METRIC: event})
        stopped.append(sorted(int(run.name) for run in stop_runs(config, runs)))
    return stopped


def draw_values(sweep: dict[str, Any]) -> dict[str, list[Any]]:
    """Returns `n_draws` values of each parameter; names of nested ones are joined with dots."""
    generator = np.random.default_rng(sweep["seed"])
    return {
        parameter.name.replace(HyperParameterSet.NESTING_DELIMITER, "."): _draw(
            parameter, generator.random(sweep["n_draws"])
        )
        for parameter in HyperParameterSet.from_config(sweep["parameters"])
    }


def _draw(parameter: HyperParameter, shares: Any) -> list[Any]:
    if parameter.type == HyperParameter.CONSTANT:
        return [parameter.value] * len(shares)
    if parameter.type == HyperParameter.CATEGORICAL_PROB:
        # One by one, as its random search does: for several at once it compares the wrong way.
        return [parameter.ppf(share) for share in shares.tolist()]
    return np.asarray(parameter.ppf(shares), dtype=object).tolist()


def list_violations(configs: list[dict[str, Any]]) -> list[list[str]]:
    """Returns for each configuration of a sweep what is wrong with it."""
    return [schema_violations_from_proposed_config(config) for config in configs]


QUESTIONS = {"stopped": list_stopped, "values": draw_values, "violations": list_violations}

if __name__ == "__main__":
    answer = QUESTIONS[sys.argv[1]]
    json.dump(answer(json.load(sys.stdin)), sys.stdout)
