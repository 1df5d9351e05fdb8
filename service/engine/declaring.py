"""Declare: create one trial whose parameters the user's code declares, and choose them.

The code runs elsewhere (see `service.sandbox`); each of its `suggest_…` is answered from here, so
that it branches on what the trial really gets.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import optuna
from optuna.distributions import BaseDistribution

from service.domain.errors import FieldError, Invalid, InvalidParams, InvalidValues
from service.domain.studies import Component
from service.engine.constraints import CONSTRAINTS_ATTR, begin_constraints
from service.engine.drawing import (
    FIXED_ATTR,
    DrawnTrial,
    end_sentence,
    start_trial,
    suggest_value,
)
from service.engine.mirror import Mirror
from service.samplers import check_suggestible
from service.sandbox import FileFailed, SearchSpaceRun, Suggest, SuggestRefused
from service.search_space import (
    check_fixed_values,
    find_distribution_change,
    find_value_problem,
    flatten,
    parse_distribution,
)
from service.search_space.variants import choose_kept_name, find_declared_name

RunCode: TypeAlias = Callable[[int, Suggest, Mapping[str, Any]], SearchSpaceRun]
"""Runs the user's code for the trial of a number, with the study's user attributes; raises
FileFailed if that fails."""

CONFIG_ATTR = "asktell:config"
"""Trial system attribute: what the trial gets instead of its parameters, by flattened name."""


def declare_trial(
    study: optuna.Study,
    mirror: Mirror,
    *,
    run_code: RunCode,
    sampler: Component,
    fixed: Mapping[str, Any],
) -> DrawnTrial:
    """Starts an enqueued trial, or with `fixed` parameters or without any enqueued a new one.

    If the code fails the trial keeps what was chosen until then.

    Args:
        study: On `mirror`.
        sampler: That of the study.

    Raises:
        InvalidParams: The code suggests no parameter of the name of one of `fixed`.
    """
    trial = start_trial(study, mirror, fixed)
    declaring = _Declaring(study, mirror, trial, sampler)
    try:
        run = run_code(trial.number, declaring.suggest, mirror.user_attrs)
        declaring.check_all_used()
        return DrawnTrial(trial.number, _keep(mirror, trial._trial_id, run))
    except FileFailed as error:
        return DrawnTrial(trial.number, {}, problem=end_sentence(error.reason))
    except InvalidParams as error:
        if fixed:
            raise
        # Enqueued before anybody knew; refusing the ask would refuse every other too.
        return DrawnTrial(trial.number, {}, problem=error.message)
    except InvalidValues as error:
        return DrawnTrial(trial.number, {}, problem=error.message)


def declare_given(
    run_code: RunCode, number: int, params: Mapping[str, Any], user_attrs: Mapping[str, Any]
) -> tuple[SearchSpaceRun, Mapping[str, BaseDistribution]]:
    """Has the code declare a trial whose values are known: what it gave, and the distributions.

    Args:
        params: By flattened name. What the code does not ask for is not the trial's.
        user_attrs: Of the study.

    Raises:
        InvalidParams: The code fails, or asks for a value that is missing or does not fit.
    """
    distributions: dict[str, BaseDistribution] = {}

    def suggest(name: str, document: Mapping[str, Any]) -> Any:
        distribution = distributions[name] = parse_distribution(name, document)
        _check_given(name, distribution, params)
        return distribution.to_external_repr(distribution.to_internal_repr(params[name]))

    try:
        return run_code(number, suggest, user_attrs), distributions
    except FileFailed as error:
        raise InvalidParams(end_sentence(error.reason)) from error


def find_kept_name(mirror: Mirror, name: str, distribution: BaseDistribution) -> str:
    """Returns the name under which a study keeps a parameter that is declared like this."""
    return choose_kept_name(name, distribution, mirror.find_distribution(name))


def find_config(run: SearchSpaceRun) -> Mapping[str, Any] | None:
    """Returns what the code gives the trial by flattened name; None if just its parameters."""
    config = None if run.config is None else dict(flatten(run.config))
    return None if config == run.params else config


def _check_given(name: str, distribution: BaseDistribution, params: Mapping[str, Any]) -> None:
    if name not in params:
        problem: str | None = "The study's Python asks for it, and the trial does not have it."
    else:
        problem = find_value_problem(distribution, params[name])
    if problem is not None:
        errors = [FieldError(f"params.{name}", problem)]
        raise InvalidParams(f"{name}: {problem}", errors=errors)


def _keep(mirror: Mirror, trial_id: int, run: SearchSpaceRun) -> Mapping[str, Any]:
    """Writes down what the code has said of the trial; returns what the trial gets."""
    if run.constraints:
        constraints = begin_constraints(mirror, run.constraints)
        mirror.set_trial_system_attr(trial_id, CONSTRAINTS_ATTR, constraints)
    for name, value in run.user_attrs.items():
        mirror.set_trial_user_attr(trial_id, name, value)
    config = find_config(run)
    if config is None:
        return run.params
    mirror.set_trial_system_attr(trial_id, CONFIG_ATTR, config)
    return config


class _Declaring:
    """Answers the code of one trial."""

    def __init__(
        self, study: optuna.Study, mirror: Mirror, trial: optuna.Trial, sampler: Component
    ) -> None:
        self._distributions: dict[str, BaseDistribution] = {}
        self._study = study
        self._mirror = mirror
        self._trial = trial
        self._sampler = sampler

    def suggest(self, name: str, document: Mapping[str, Any]) -> Any:
        """Returns the trial's value for a parameter.

        Raises:
            SuggestRefused: It cannot have one; the message says why.
        """
        try:
            return self._suggest(name, document)
        except Invalid as error:
            raise SuggestRefused(error.message) from error

    def check_all_used(self) -> None:
        """Checks that the code has suggested everything that was fixed for the trial.

        Raises:
            InvalidParams: It has not.
        """
        unused = [
            name
            for name in self._get_fixed()
            if find_declared_name(name) not in self._distributions
        ]
        if not unused:
            return
        message = (
            f"{', '.join(unused)} was fixed for this trial, but the study's Python has suggested "
            f"{', '.join(self._distributions) or 'nothing'}. Fix only what it suggests, and with a "
            "parameter of a branch also what that depends on."
        )
        raise InvalidParams(message, errors=[FieldError(f"params.{n}", message) for n in unused])

    def _suggest(self, name: str, document: Mapping[str, Any]) -> Any:
        distribution = parse_distribution(name, document)
        self._check_unchanged(name, distribution)
        check_suggestible(self._sampler, {name: distribution})
        kept = find_kept_name(self._mirror, name, distribution)
        self._fix(name, kept, distribution)
        return suggest_value(self._trial, kept, distribution)

    def _check_unchanged(self, name: str, distribution: BaseDistribution) -> None:
        known = self._distributions.setdefault(name, distribution)
        if change := find_distribution_change(known, distribution):
            raise InvalidParams(f"Parameter {name!r} cannot be suggested again: {change}")

    def _fix(self, name: str, kept: str, distribution: BaseDistribution) -> None:
        """Lets a value that was fixed under the declared name count."""
        fixed = self._get_fixed()
        check_fixed_values({name: distribution}, fixed)
        if name in fixed and kept not in fixed:
            changed = {**fixed, kept: fixed[name]}
            self._mirror.set_trial_system_attr(self._trial._trial_id, FIXED_ATTR, changed)
            # Optuna has read them already.
            self._trial = optuna.Trial(self._study, self._trial._trial_id)

    def _get_fixed(self) -> Mapping[str, Any]:
        trial = self._mirror.get_trial(self._trial._trial_id)
        fixed: Mapping[str, Any] = trial.system_attrs.get(FIXED_ATTR, {})
        return fixed
