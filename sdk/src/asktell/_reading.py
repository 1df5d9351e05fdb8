"""What can be read of a study on the server; every look is a request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

from asktell import _protocol
from asktell._described import DescribedStudy
from asktell._optuna_storage import NoStorage
from asktell._records import (
    FrozenTrial,
    StudySummary,
    read_summary,
    read_trial,
)

if TYPE_CHECKING:
    import optuna

    from asktell._connection import Connection
    from asktell._to_optuna import StudyCopy


class ReadableStudy(DescribedStudy):
    """The part of a study that changes nothing; see `Study`."""

    def __init__(self, connection: Connection, document: Mapping[str, Any]) -> None:
        super().__init__(document)
        self._connection = connection
        # Where integrations of Optuna look for the storage of a study.
        self._storage = NoStorage()

    @property
    def user_attrs(self) -> dict[str, Any]:
        """What it was created with and `set_user_attr` was given, asked from the server."""
        return dict(self._connection.call(_protocol.get_study(self.name))["user_attrs"])

    @property
    def study_name(self) -> str:
        """The name of the study, as Optuna calls it."""
        return self.name

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials by number, asked from the server each time; see `get_trials`."""
        return self.get_trials()

    def get_trials(
        self,
        deepcopy: bool = True,  # noqa: ARG002 - Optuna's signature; every answer is a copy here
        states: Iterable[str | Enum] | None = None,
        *,
        page_size: int = 500,
    ) -> list[FrozenTrial]:
        """All trials by number, or those in these states; fetched `page_size` per request.

        Example:
            >>> trials = study.ask(2)
            >>> told = trials[0].tell(0.5)
            >>> [trial.number for trial in study.get_trials(states=["RUNNING"])]
            [1]
        """
        build = partial(
            _protocol.list_trials,
            self.name,
            states=_protocol.state_words(states),
            page_size=page_size,
        )
        return list(map(read_trial, self._connection.list_pages("trials", build)))

    def get_trial(self, number: int) -> FrozenTrial:
        """The trial of that number.

        Raises:
            NotFoundError: `trial-not-found`.
        """
        return read_trial(self._connection.call(_protocol.get_trial(self.name, number)))

    @property
    def best_trial(self) -> FrozenTrial:
        """The best completed trial, asked from the server each time.

        Raises:
            NoBestTrialError: None is complete, or there are several objectives.

        Example:
            >>> study.optimize(lambda trial: trial.suggest_int("x", 3, 5), n_trials=1)
            >>> study.best_trial.number, study.best_value == study.best_params["x"]
            (0, True)
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

    def to_optuna(self) -> optuna.Study:
        """A copy in memory, with all trials, for `optuna.visualization`, `optuna.importance` etc.

        It has what the server has at this moment and does not follow it. What would change it
        (`ask`, `tell`, `optimize`, …) raises RuntimeError, since the server would not hear of it.

        A parameter that Optuna cannot express has the distribution that its values span: one of
        another shape (normal, quantised, …), or a list or object, which becomes JSON text. Why a
        trial failed is its system attribute `asktell:reason`.

        Raises:
            ImportError: There is no optuna here.

        Example:
            >>> study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
            >>> import optuna
            >>> figure = optuna.visualization.plot_slice(study.to_optuna())
        """
        build_copy = _import_build_copy()
        study = self._connection.call(_protocol.get_study(self.name))
        trials = self.trials
        # After the trials, so that it has the parameters of each.
        used = self._connection.call(_protocol.list_distributions(self.name))["distributions"]
        return build_copy(self.name, self.objectives, study["user_attrs"], trials, used)

    def trials_dataframe(
        self, attrs: tuple[str, ...] | None = None, multi_index: bool = False
    ) -> Any:
        """Optuna's table of all trials, a pandas.DataFrame.

        Args:
            attrs: What it shows of each; Optuna's choice by default.
            multi_index: Whether columns of params and attributes are in two levels.

        Raises:
            ImportError: There is no optuna or no pandas here; `export` needs neither.
        """
        given = {} if attrs is None else {"attrs": attrs}
        return self.to_optuna().trials_dataframe(multi_index=multi_index, **given)

    def export(self, format: str = "csv") -> str:
        """All trials as text: `csv` with the columns of Optuna's dataframe, or `json`.

        Example:
            >>> study.export().startswith("number,value,")
            True
        """
        return self._connection.send(_protocol.export(self.name, format)).text

    def summary(self) -> StudySummary:
        """State, counts and best of this moment."""
        return read_summary(self._connection.call(_protocol.get_study(self.name)))


def _import_build_copy() -> Callable[..., StudyCopy]:
    try:
        from asktell._to_optuna import build_copy
    except ModuleNotFoundError as error:
        if error.name != "optuna":
            raise
        raise ImportError("A copy for Optuna needs optuna: pip install 'optuna>=5'.") from error
    return build_copy
