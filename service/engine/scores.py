"""How good a trial is."""

from collections.abc import Sequence

from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState


def find_score(trial: FrozenTrial, directions: Sequence[StudyDirection]) -> float | None:
    """Returns the value of a trial, turned so that lower is better.

    None if it cannot be the best one: not complete, not feasible, or one of several objectives.
    """
    if len(directions) > 1 or trial.state is not TrialState.COMPLETE or not trial.values:
        return None
    if any(value > 0 for value in trial.constraints.values()):
        return None
    value = float(trial.values[0])
    return value if directions[0] is StudyDirection.MINIMIZE else -value
