"""Whether trials fit a study, found out before any of them is sent.

The server checks again. What it alone knows is with which distributions the trials of a study
without a declared space have used a name before, and what its Python asks for.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from optuna.distributions import BaseDistribution
from pydantic import ValidationError

from service.api.batch_bodies import ImportedTrialBody
from service.cli.imports.found import Found, FoundTrial, Target
from service.domain.errors import Invalid
from service.engine.import_trials import ImportedTrial
from service.engine.results import check_result
from service.search_space import (
    SearchSpace,
    check_complete_params,
    find_value_problem,
    parse_distribution,
    parse_space,
)


def find_misfits(found: Found) -> dict[str, str]:
    """Returns why trials do not fit, by their names; those that do fit are left out."""
    fit = _Fit(found.target)
    problems = ((trial.name, " ".join(fit.list_problems(trial))) for trial in found.trials)
    return {name: problem for name, problem in problems if problem}


class _Fit:
    """The first trial that fits and has constraints decides which ones the others have."""

    def __init__(self, target: Target) -> None:
        self._n_objectives = len(target.objectives)
        self._space = None if target.space is None else parse_space(target.space)
        self._constraints = target.constraints

    def list_problems(self, trial: FoundTrial) -> list[str]:
        try:
            imported = ImportedTrialBody.model_validate(trial.document).to_trial()
        except ValidationError as error:
            return [
                f"{'.'.join(map(str, each['loc']))}: {each['msg'].rstrip('.')}."
                for each in error.errors()
            ]
        problems = [
            *self._list_result_problems(imported),
            *_list_param_problems(self._space, imported),
        ]
        if not problems and imported.constraints:
            self._constraints = self._constraints or frozenset(imported.constraints)
        return problems

    def _list_result_problems(self, trial: ImportedTrial) -> Iterator[str]:
        try:
            check_result(trial.state, trial.values, n_objectives=self._n_objectives)
        except Invalid as error:
            yield str(error)
        if trial.intermediate_values and self._n_objectives > 1:
            yield "A study with several objectives takes no intermediate values."
        if trial.started_at and trial.finished_at and trial.finished_at < trial.started_at:
            yield "It finished before it started."
        names = self._constraints
        if trial.constraints and names is not None and names != trial.constraints.keys():
            shown, others = (", ".join(sorted(each)) for each in (trial.constraints, names))
            yield f"Its constraints are {shown}, those of the others {others}."


def _list_param_problems(space: SearchSpace | None, trial: ImportedTrial) -> Iterator[str]:
    try:
        if space is not None:
            check_complete_params(space, trial.params)
            return
        if trial.distributions is None:
            return
        distributions = {
            name: parse_distribution(name, document)
            for name, document in trial.distributions.items()
        }
    except Invalid as error:
        yield from (f"{each.field}: {each.message}" for each in error.errors)
        return
    yield from _list_value_problems(distributions, trial.params)


def _list_value_problems(
    distributions: Mapping[str, BaseDistribution], params: Mapping[str, Any]
) -> Iterator[str]:
    for name, value in params.items():
        if name not in distributions:
            yield f"{name}: There is no distribution of this parameter."
        elif problem := find_value_problem(distributions[name], value):
            yield f"{name}: {problem}"
