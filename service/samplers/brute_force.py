"""Exhaustive search among trials that end as they like."""

import copy
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from typing import Any

from optuna import samplers
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState


class BruteForceSampler(samplers.BruteForceSampler):
    """Optuna's, except that a trial which does not fit the others is left out.

    Optuna grows a tree of what was tried and raises ValueError for good where two trials disagree
    on it: one crashed before it had declared all of its parameters, was imported with them in
    another order, or declared another range. Here the longer and then the newer one is right. A
    trial that ended before it declared anything is no visit; to Optuna it ends the search.
    """

    @staticmethod
    def _populate_tree(tree: Any, trials: list[FrozenTrial], params: dict[str, Any]) -> None:
        populate = samplers.BruteForceSampler._populate_tree
        root = {field.name: copy.copy(getattr(tree, field.name)) for field in fields(tree)}
        try:
            populate(tree, trials, params)
        except ValueError:
            # Only now, because one by one takes three times as long.
            for name, value in root.items():
                setattr(tree, name, value)
            for trial in sorted(trials, key=_count_and_number, reverse=True):
                with suppress(ValueError):
                    populate(tree, [trial], params)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        if trial.params:
            super().after_trial(study, trial, state, values)


def _count_and_number(trial: FrozenTrial) -> tuple[int, int]:
    return len(trial.params), trial.number
