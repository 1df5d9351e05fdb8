"""Constraints of a trial: kept as the list that every version of Optuna reads, named by us."""

import math
from collections.abc import Mapping

from optuna.trial import FrozenTrial

from service.domain.errors import InvalidValues
from service.engine.mirror import Mirror

CONSTRAINTS_ATTR = "constraints"
"""Trial system attribute: one number per constraint, satisfied if ≤ 0."""

CONSTRAINT_NAMES_ATTR = "asktell:constraint_names"
"""Study system attribute: the names of those numbers, in their order."""


def order_constraints(mirror: Mirror, constraints: Mapping[str, float]) -> list[float]:
    """Returns a trial's constraints in the study's order; the first ones that come decide it.

    Raises:
        InvalidValues: They are not those of the study, or one is NaN.
    """
    if any(math.isnan(value) for value in constraints.values()):
        raise InvalidValues("A constraint is NaN: tell the trial FAIL instead, or give a number.")
    names = mirror.system_attrs.get(CONSTRAINT_NAMES_ATTR)
    if names is None:
        names = list(constraints)
        mirror.set_study_system_attr(mirror.study_id, CONSTRAINT_NAMES_ATTR, names)
    if set(names) != set(constraints):
        raise InvalidValues(
            f"The constraints of this study are {', '.join(names) or 'none'}, since the first "
            f"trial that had any; this trial has {', '.join(constraints) or 'none'}. Give each of "
            "them a number."
        )
    return [constraints[name] for name in names]


def constraints_of(mirror: Mirror, trial: FrozenTrial) -> dict[str, float] | None:
    """Returns a trial's constraints by name; None if it has none."""
    values = trial.system_attrs.get(CONSTRAINTS_ATTR)
    if values is None:
        return None
    names = mirror.system_attrs.get(CONSTRAINT_NAMES_ATTR, ())
    if len(names) != len(values):
        # Plain Optuna lets every trial have as many as it likes.
        names = [str(place) for place in range(len(values))]
    return dict(zip(names, values, strict=True))
