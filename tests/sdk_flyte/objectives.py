"""Tasks and functions to be optimised. Its annotations are postponed, as in many users' files."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import flytekit as fl
import optuna


class Losses(NamedTuple):
    loss: float
    size: float


@fl.task
async def square(x: float, shift: int = 0) -> float:
    return (x - 1.0) ** 2 + shift


@fl.task
async def annotated(x: float) -> Annotated[float, "loss"]:
    return x


@fl.task
async def pair(x: float) -> tuple[float, float]:
    return x, -x


@fl.task
async def named_pair(x: float) -> Losses:
    return Losses(x, -x)


@fl.task
async def nested(params: dict[str, dict[str, float]]) -> float:
    return params["optimizer"]["lr"]


@fl.task
async def picky(x: float) -> float:
    """Fails above 0.5, is pruned below 0.2."""
    if x > 0.5:
        raise ValueError(f"{x} is too much")
    if x < 0.2:
        raise optuna.TrialPruned
    return x


# With decks flytekit asks pip twice what is installed, which takes seconds.
@fl.eager(deck_fields=())
async def eager_square(x: float) -> float:
    return await square(x=x)


@fl.task
def synchronous(x: float) -> float:
    return x


@fl.workflow
def workflow(x: float) -> float:
    return synchronous(x=x)


@fl.task
async def whole(x: float) -> int:
    return int(x)


@fl.task
async def nothing(x: float) -> None:
    return None


@fl.task
async def listed(x: float) -> list[float]:
    return [x]


@fl.task
async def keyed(x: float) -> dict[str, float]:
    return {"x": x}


@fl.task
async def half_a_pair(x: float) -> tuple[float, str]:
    return x, "x"
