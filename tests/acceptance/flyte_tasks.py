"""What the sweeps of the Flyte tests execute, registered as their users register their tasks."""

import math
import os
import time
from pathlib import Path
from typing import NamedTuple

import asktell
import flytekit as fl
from flytekit.exceptions.user import FlyteRecoverableException

from tests.acceptance import training

_FOR_EVER_SECONDS = 600


class Scores(NamedTuple):
    loss: float
    size: int


@fl.task(retries=2)
def train(lr: float, opt: dict) -> float:
    """Might be tried again by Flyte, but what it raises when it is pruned is no reason to."""
    return training.train(lr, opt["name"])["loss"]


@fl.task
def weigh(lr: float, opt: dict) -> Scores:
    weighed = training.weigh(lr, opt["name"])
    return Scores(loss=weighed["loss"], size=int(weighed["size"]))


@fl.task
def count(x: float) -> float:
    """Of an odd trial the second value is what it is to be pruned for; it never asks."""
    trial = asktell.current_trial()
    trial.report(0.25, 0)
    if trial.number % 2:
        trial.report(0.75, 1)
        time.sleep(_FOR_EVER_SECONDS)
    return x


@fl.task(retries=1)
def begin_again(x: float) -> float:
    """Reports other values the second time, which Flyte grants it."""
    trial, tries = asktell.current_trial(), int(os.environ["FLYTE_ATTEMPT_NUMBER"])
    for step in range(2 + tries):
        trial.report(step + 10.0 * tries, step)
    if tries == 0:
        raise FlyteRecoverableException("Once more.")
    return x


@fl.task
def fail(x: float) -> float:
    if x > 0.0:
        raise ValueError(f"no such rate: {x}")
    return x


@fl.task
def diverge(x: float) -> float:
    return math.nan * x


@fl.task
def wait(x: float, gate: str) -> float:
    """Ends once there is a file of that name."""
    while not Path(gate).exists():
        time.sleep(0.05)
    return x
