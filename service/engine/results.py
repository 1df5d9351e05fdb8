"""What a trial may end with."""

import math
from collections.abc import Sequence

from service.domain.errors import InvalidValues
from service.domain.trials import TrialState


def check_result(state: TrialState, values: Sequence[float] | None, *, n_objectives: int) -> None:
    """Checks that a trial can end like this.

    Raises:
        InvalidValues: Wrong number of values, a NaN, values where there are none, or no end.
    """
    match state:
        case TrialState.COMPLETE:
            _check_values(values, n_objectives)
        case TrialState.PRUNED | TrialState.FAIL:
            if values is not None:
                raise InvalidValues(
                    f"A trial told {state} has no values: leave them out. A pruned trial keeps its "
                    "last report."
                )
        case TrialState.WAITING | TrialState.RUNNING:
            raise InvalidValues("Tell COMPLETE, PRUNED or FAIL.")


def _check_values(values: Sequence[float] | None, n_objectives: int) -> None:
    if values is None or len(values) != n_objectives:
        given = 0 if values is None else len(values)
        raise InvalidValues(
            f"The study has {n_objectives} objective(s), the tell has {given} value(s). "
            "Give one value per objective, in their order."
        )
    if any(math.isnan(value) for value in values):
        raise InvalidValues("A value is NaN: tell the trial FAIL instead, or give a number.")
