"""Constraints of a trial: kept as the list that every version of Optuna reads, named by us."""

import math
from collections.abc import Mapping

from optuna.trial import FrozenTrial, TrialState

from service.domain.errors import InvalidValues
from service.engine.mirror import Mirror

CONSTRAINTS_ATTR = "constraints"
"""Trial system attribute: one number per constraint, satisfied if ≤ 0."""

CONSTRAINT_NAMES_ATTR = "asktell:constraint_names"
"""Study system attribute: the names of those numbers, in their order."""


_ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


def order_constraints(mirror: Mirror, constraints: Mapping[str, float]) -> list[float]:
    """Returns an ended trial's constraints in the study's order; the first that ends decides it.

    Raises:
        InvalidValues: They are not those of the study, or one is NaN.
    """
    names = _name_constraints(mirror, constraints)
    return _order(mirror, names, names, constraints)


def begin_constraints(mirror: Mirror, constraints: Mapping[str, float]) -> list[float]:
    """Returns the constraints of a trial that starts; those that it is told come after them.

    Raises:
        InvalidValues: They are not the first ones of the study, or one is NaN.
    """
    names = _name_constraints(mirror, constraints)
    return _order(mirror, names, names[: len(constraints)], constraints)


def complete_constraints(
    mirror: Mirror, trial: FrozenTrial, told: Mapping[str, float], *, is_complete: bool
) -> list[float] | None:
    """Returns what a trial has begun with and what it is told, which wins, in the study's order.

    Args:
        is_complete: Whether the trial has a result. One that was pruned or failed may not have come
            to all of its constraints: unless they are those of the study, they do not count, which
            is None, and decide nothing for others.

    Raises:
        InvalidValues: As `order_constraints`.
    """
    constraints = {**(constraints_of(mirror, trial) or {}), **told}
    known = mirror.system_attrs.get(CONSTRAINT_NAMES_ATTR, ())
    if not is_complete and constraints.keys() != set(known):
        return None
    return order_constraints(mirror, constraints)


def _name_constraints(mirror: Mirror, constraints: Mapping[str, float]) -> list[str]:
    """The study's names, with those that this trial adds while no trial has ended with any."""
    known: list[str] = mirror.system_attrs.get(CONSTRAINT_NAMES_ATTR, [])
    new = [name for name in constraints if name not in known]
    if not new or (known and _has_ended_with_any(mirror)):
        return known
    return [*known, *new]


def _has_ended_with_any(mirror: Mirror) -> bool:
    ended = mirror.get_all_trials(mirror.study_id, deepcopy=False, states=_ENDED)
    return any(CONSTRAINTS_ATTR in trial.system_attrs for trial in ended)


def _order(
    mirror: Mirror, names: list[str], wanted: list[str], constraints: Mapping[str, float]
) -> list[float]:
    if any(math.isnan(value) for value in constraints.values()):
        raise InvalidValues("A constraint is NaN: tell the trial FAIL instead, or give a number.")
    if set(wanted) != set(constraints):
        raise InvalidValues(
            f"The constraints of this study are {', '.join(names) or 'none'}, since the first "
            f"trial that had any; this trial has {', '.join(constraints) or 'none'}. Give each of "
            "them a number."
        )
    if names != mirror.system_attrs.get(CONSTRAINT_NAMES_ATTR):
        mirror.set_study_system_attr(mirror.study_id, CONSTRAINT_NAMES_ATTR, names)
    return [constraints[name] for name in wanted]


def constraints_of(mirror: Mirror, trial: FrozenTrial) -> dict[str, float] | None:
    """Returns a trial's constraints by name; None if it has none."""
    values = trial.system_attrs.get(CONSTRAINTS_ATTR)
    if values is None:
        return None
    names = mirror.system_attrs.get(CONSTRAINT_NAMES_ATTR, ())
    if len(names) < len(values):
        # Plain Optuna lets every trial have as many as it likes.
        names = [str(place) for place in range(len(values))]
    return dict(zip(names, values, strict=False))
