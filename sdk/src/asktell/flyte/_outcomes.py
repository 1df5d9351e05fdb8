"""How a trial ended, read from what its objective returned or raised."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from flytekit.exceptions.eager import EagerException
from optuna.trial import TrialState

from asktell._optimize import read_values
from asktell._optuna import is_pruning
from asktell._protocol import LONGEST_REASON
from asktell._reasons import explain_error

# What flytekit writes of an exception that ended a task: its name and message after the trace.
_PRUNED_TASK = re.compile(r"Message:\s+(?:[\w.]+\.)?TrialPruned\b")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a trial.

    Attributes:
        values: One per objective, for COMPLETE.
        reason: Why it failed.
        is_hasty: Whoever tells it is about to leave and cannot wait for long.
    """

    state: TrialState
    values: list[float] | None = None
    reason: str | None = None
    is_hasty: bool = False


def read_returned(returned: Any, n_directions: int) -> Outcome:
    """COMPLETE.

    Raises:
        ValueError: These are not as many numbers as the study has directions.
    """
    return Outcome(TrialState.COMPLETE, read_values(returned, n_directions))


def read_error(error: BaseException) -> Outcome:
    """PRUNED for TrialPruned, Optuna's or ours, raised here or in a task elsewhere; else FAIL."""
    text = str(error) if isinstance(error, EagerException) else explain_error(error)
    if is_pruning(error) or (isinstance(error, EagerException) and _PRUNED_TASK.search(text)):
        return Outcome(TrialState.PRUNED)
    return Outcome(
        TrialState.FAIL, reason=_shorten(text), is_hasty=not isinstance(error, Exception)
    )


def _shorten(text: str) -> str:
    # The message comes after the trace.
    return text if len(text) <= LONGEST_REASON else f"…{text[1 - LONGEST_REASON :]}"
