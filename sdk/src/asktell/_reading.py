"""What can be read of a study on the server; every look is a request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

from asktell import _protocol
from asktell._optuna import StudyDirection, direction_named
from asktell._records import (
    FrozenTrial,
    StudySummary,
    read_objectives,
    read_summary,
    read_trial,
)

if TYPE_CHECKING:
    from asktell._connection import Connection


class ReadableStudy:
    """The part of a study that changes nothing; see `Study`."""

    def __init__(self, connection: Connection, document: Mapping[str, Any]) -> None:
        self.name: str = document["name"]
        self.objectives = read_objectives(document)
        self.space: Mapping[str, Any] | None = document["space"]
        self.sampler: Mapping[str, Any] = document["sampler"]
        self.pruner: Mapping[str, Any] | None = document["pruner"]
        self.seed: int = document["seed"]
        self._connection = connection

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
    def user_attrs(self) -> dict[str, Any]:
        """What it was created with and `set_user_attr` was given, asked from the server."""
        return dict(self._connection.call(_protocol.get_study(self.name))["user_attrs"])

    def trials(
        self, states: Iterable[str | Enum] | None = None, *, page_size: int = 500
    ) -> list[FrozenTrial]:
        """All trials by number, or those in these states; fetched `page_size` per request."""
        words = [_state_word(state) for state in states or ()]
        found: list[FrozenTrial] = []
        cursor: str | None = None
        while True:
            request = _protocol.list_trials(
                self.name, states=words, page_size=page_size, cursor=cursor
            )
            page = self._connection.call(request)
            found += map(read_trial, page["trials"])
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    def get_trial(self, number: int) -> FrozenTrial:
        """The trial of that number.

        Raises:
            NotFoundError: `trial-not-found`.
        """
        return read_trial(self._connection.call(_protocol.get_trial(self.name, number)))

    def get_trials(
        self,
        deepcopy: bool = True,  # noqa: ARG002 - Optuna's signature; every answer is a copy here
        states: Iterable[str | Enum] | None = None,
    ) -> list[FrozenTrial]:
        """`trials` under Optuna's name and with its arguments, for callbacks written for it."""
        return self.trials(states)

    @property
    def best_trial(self) -> FrozenTrial:
        """The best completed trial, asked from the server each time.

        Raises:
            NotFoundError: `no-best-trial`: none is complete, or there are several objectives.
        """
        return read_trial(self._connection.call(_protocol.get_best_trial(self.name)))

    @property
    def best_params(self) -> dict[str, Any]:
        """Parameters of the best trial."""
        return self.best_trial.params

    @property
    def best_value(self) -> float:
        """Value of the best trial."""
        values = self.best_trial.values
        assert values is not None, "a completed trial has values"
        return values[0]

    @property
    def best_trials(self) -> list[FrozenTrial]:
        """The feasible trials that no other one beats in every objective, by number."""
        answer = self._connection.call(_protocol.list_best_trials(self.name))
        return list(map(read_trial, answer["trials"]))

    def export(self, format: str = "csv") -> str:
        """All trials as text: `csv` with the columns of Optuna's dataframe, or `json`."""
        return self._connection.send(_protocol.export(self.name, format)).text

    def summary(self) -> StudySummary:
        """State, counts and best of this moment."""
        return read_summary(self._connection.call(_protocol.get_study(self.name)))


def _state_word(state: str | Enum) -> str:
    return (state.name if isinstance(state, Enum) else state).upper()
