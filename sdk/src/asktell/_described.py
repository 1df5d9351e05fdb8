"""What was fixed when a study was created, as every object of it knows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asktell._optuna import StudyDirection, direction_named
from asktell._records import find_metric_names, read_objectives


class DescribedStudy:
    """The part of a study that needs no look at the server; see `Study`."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.name: str = document["name"]
        self.objectives = read_objectives(document)
        self.space: Mapping[str, Any] | None = document["space"]
        self.sampler: Mapping[str, Any] = document["sampler"]
        self.pruner: Mapping[str, Any] | None = document["pruner"]
        self.seed: int = document["seed"]

    @property
    def direction(self) -> StudyDirection:
        """Which way the single objective improves; Optuna's own enum where optuna is imported.

        Raises:
            RuntimeError: The study has several objectives.
        """
        if len(self.objectives) > 1:
            raise RuntimeError(f"Study {self.name!r} has several objectives: use `directions`.")
        return self.directions[0]

    @property
    def directions(self) -> list[StudyDirection]:
        """Which way each objective improves; Optuna's own enum where optuna is imported."""
        return [direction_named(objective.direction.name) for objective in self.objectives]

    @property
    def metric_names(self) -> list[str] | None:
        """The names of the objectives; None if nobody chose them."""
        return find_metric_names(self.objectives)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"
