"""Declare: create one trial whose parameters the user's code declares, and choose them.

The code runs elsewhere (see `service.sandbox`); each of its `suggest_…` is answered from here, so
that it branches on what the trial really gets.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import optuna
from optuna.distributions import BaseDistribution

from service.domain.errors import Invalid, InvalidParams, InvalidSpace, InvalidValues
from service.domain.studies import Component
from service.engine.constraints import CONSTRAINTS_ATTR, order_constraints
from service.engine.drawing import FIXED_ATTR, DrawnTrial, start_trial, suggest_value
from service.engine.mirror import Mirror
from service.samplers import check_suggestible
from service.sandbox import FileFailed, SearchSpaceRun, Suggest, SuggestRefused
from service.search_space import (
    check_fixed_values,
    find_distribution_change,
    parse_distribution,
)
from service.search_space.variants import find_variant_problem, is_kept_as, name_variant

RunCode: TypeAlias = Callable[[int, Suggest], SearchSpaceRun]
"""Runs the user's code for the trial of a number; raises FileFailed if that fails."""

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
    """
    trial = start_trial(study, mirror, fixed)
    declaring = _Declaring(study, mirror, trial, sampler)
    try:
        run = run_code(trial.number, declaring.suggest)
        return DrawnTrial(trial.number, _keep(mirror, trial._trial_id, run))
    except FileFailed as error:
        return DrawnTrial(trial.number, {}, problem=end_sentence(error.reason))
    except InvalidValues as error:
        return DrawnTrial(trial.number, {}, problem=error.message)


def end_sentence(text: str) -> str:
    """A message of an exception as one: people leave the full stop out."""
    return text if text.endswith((".", "?", "!", ")")) else f"{text}."


def _keep(mirror: Mirror, trial_id: int, run: SearchSpaceRun) -> Mapping[str, Any]:
    """Writes down what the code has said of the trial; returns what the trial gets."""
    if run.constraints:
        constraints = order_constraints(mirror, run.constraints)
        mirror.set_trial_system_attr(trial_id, CONSTRAINTS_ATTR, constraints)
    for name, value in run.user_attrs.items():
        mirror.set_trial_user_attr(trial_id, name, value)
    config = None if run.config is None else dict(_flatten(run.config, ""))
    if config is None or config == run.params:
        return run.params
    mirror.set_trial_system_attr(trial_id, CONFIG_ATTR, config)
    return config


def _flatten(group: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in group.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


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

    def _suggest(self, name: str, document: Mapping[str, Any]) -> Any:
        distribution = parse_distribution(name, document)
        if problem := find_variant_problem(name):
            raise InvalidSpace(problem)
        self._check_unchanged(name, distribution)
        check_suggestible(self._sampler, {name: distribution})
        kept = self._find_name(name, distribution)
        self._fix(name, kept, distribution)
        return suggest_value(self._trial, kept, distribution)

    def _check_unchanged(self, name: str, distribution: BaseDistribution) -> None:
        known = self._distributions.setdefault(name, distribution)
        if change := find_distribution_change(known, distribution):
            raise InvalidParams(f"Parameter {name!r} cannot be suggested again: {change}")

    def _find_name(self, name: str, distribution: BaseDistribution) -> str:
        known = self._mirror.find_distribution(name)
        return (
            name
            if known is None or is_kept_as(known, distribution)
            else name_variant(name, distribution)
        )

    def _fix(self, name: str, kept: str, distribution: BaseDistribution) -> None:
        """Lets a value that was fixed under the declared name count."""
        trial_id = self._trial._trial_id
        fixed = self._mirror.get_trial(trial_id).system_attrs.get(FIXED_ATTR, {})
        check_fixed_values({name: distribution}, fixed)
        if name in fixed and kept not in fixed:
            changed = {**fixed, kept: fixed[name]}
            self._mirror.set_trial_system_attr(trial_id, FIXED_ATTR, changed)
            # Optuna has read them already.
            self._trial = optuna.Trial(self._study, trial_id)
