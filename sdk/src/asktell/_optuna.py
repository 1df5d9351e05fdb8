"""Optuna's words and types, without ever importing optuna.

Whoever has imported optuna gets its own enums, so that code written for it (integration callbacks
compare `study.direction` with `optuna.study.StudyDirection`) goes on working; everybody else gets
ours, with the same names and numbers. So `==` holds between the two, `is` may not.
"""

from __future__ import annotations

import sys
from enum import Enum, IntEnum
from typing import Any, TypeVar, cast

from asktell._errors import TrialPruned

SYSTEM_ATTR_PREFIX = "optuna:"
"""What integrations keep as Optuna's system attributes are user attributes with this prefix."""

_Member = TypeVar("_Member", bound=Enum)


class StudyDirection(IntEnum):
    """Which way an objective improves; equal to Optuna's member of that name."""

    MINIMIZE = 1
    MAXIMIZE = 2


class TrialState(IntEnum):
    """Where a trial is in its life; only COMPLETE, PRUNED and FAIL can be told.

    Each is equal to Optuna's member of that name.
    """

    RUNNING = 0
    COMPLETE = 1
    PRUNED = 2
    FAIL = 3
    WAITING = 4

    def is_finished(self) -> bool:
        """Whether the trial was told."""
        return self in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def direction_named(name: str) -> StudyDirection:
    """The direction of that name: Optuna's member where optuna is imported, else ours."""
    return _prefer_optunas(StudyDirection[name.upper()], "optuna.study")


def trial_state_named(name: str) -> TrialState:
    """The state of that name: Optuna's member where optuna is imported, else ours."""
    return _prefer_optunas(TrialState[name], "optuna.trial")


def direction_word(direction: str | Enum) -> str:
    """`minimize` or `maximize` for a word or for either enum's member.

    Raises:
        ValueError: It is neither.
    """
    word = (direction.name if isinstance(direction, Enum) else str(direction)).lower()
    if word not in ("minimize", "maximize"):
        raise ValueError(f'A direction is "minimize" or "maximize", not {direction!r}.')
    return word


def told_state_word(state: str | Enum) -> str:
    """The API's word for a state that can be told, from a word or either enum's member.

    Raises:
        ValueError: It is not a state in which a trial ends.
    """
    word = (state.name if isinstance(state, Enum) else str(state)).upper()
    if word not in ("COMPLETE", "PRUNED", "FAIL"):
        raise ValueError(f"A trial is told COMPLETE, PRUNED or FAIL, not {state!r}.")
    return word


def describe_distribution(distribution: Any) -> dict[str, Any] | None:
    """One of Optuna's distributions as the API takes it; None if it is something else."""
    names = {cls.__name__ for cls in type(distribution).__mro__ if _is_optunas_distribution(cls)}
    if "CategoricalDistribution" in names:
        return {"type": "categorical", "choices": list(distribution.choices)}
    kind = {"FloatDistribution": "float", "IntDistribution": "int"}
    for name in names & kind.keys():
        return {
            "type": kind[name],
            "low": distribution.low,
            "high": distribution.high,
            "step": distribution.step,
            "log": distribution.log,
        }
    return None


def is_pruning(error: BaseException) -> bool:
    """Whether this exception ends its trial as PRUNED: our TrialPruned or Optuna's."""
    return isinstance(error, TrialPruned) or any(
        cls.__name__ == "TrialPruned" and cls.__module__ == "optuna.exceptions"
        for cls in type(error).__mro__
    )


def register_trial(trials: type) -> None:
    """Lets trials of this class count as Optuna's BaseTrial, for integrations that look at it.

    They have all that it declares but what it is about to drop (`suggest_uniform` and its like).
    """
    base: Any = getattr(sys.modules.get("optuna.trial"), "BaseTrial", None)
    if base is not None and not issubclass(trials, base):
        base.register(trials)


def _is_optunas_distribution(cls: type) -> bool:
    return cls.__module__ == "optuna.distributions"


def _prefer_optunas(member: _Member, module_name: str) -> _Member:
    module: Any = sys.modules.get(module_name)
    # A module that another thread is importing right now has no enum yet.
    optunas = getattr(module, type(member).__name__, None)
    return member if optunas is None else cast("_Member", optunas[member.name])
