"""Optuna's sampler objects, made from resolved components."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, nsgaii

from service.domain.studies import Component
from service.domain.warning_filters import ignore_warning
from service.samplers.kinds import KINDS, find_inner

SamplerFactory = Callable[[], BaseSampler]
_QUIET = ("warn_independent_sampling", "warn_asynchronous_seeding")
_TAKES_QUIET = {"CmaEsSampler": _QUIET[:1], "GPSampler": _QUIET[:1], "QMCSampler": _QUIET}


def prepare(component: Component, *, base_seed: int) -> SamplerFactory:
    """Return a function that makes a new, unseeded sampler from a resolved component.

    Samplers that walk through one sequence are seeded with `base_seed` all the same.
    """
    kind = KINDS[component.type]
    args = _convert_args(component)
    if component.type == "QMCSampler":
        # Optuna imports it at the first draw, which takes seconds and may be on an event loop.
        importlib.import_module("scipy.stats.qmc")
    if kind.keeps_base_seed:
        args["seed"] = base_seed
    inner = find_inner(component)
    make_inner = None if inner is None else prepare(inner, base_seed=base_seed)

    # Without Optuna's decorators, which convert positional arguments: 10 times faster.
    initialise = inspect.unwrap(getattr(kind.constructor, "__init__"))  # noqa: B009 (for mypy)

    def make() -> BaseSampler:
        silence_optuna()
        sampler = kind.constructor.__new__(kind.constructor)
        if make_inner is None:
            initialise(sampler, **args)
        else:
            initialise(sampler, **args, **{str(kind.inner): make_inner()})
        return sampler

    return make


def construct_once(component: Component) -> None:
    """Make a sampler and drop it, for what its constructor raises on bad values."""
    prepare(component, base_seed=0)()


def build_operator(document: Mapping[str, Any]) -> nsgaii.BaseCrossover | nsgaii.BaseMutation:
    """Make the crossover or mutation that a resolved `{type, args}` names."""
    silence_optuna()
    operator: nsgaii.BaseCrossover | nsgaii.BaseMutation
    operator = getattr(nsgaii, document["type"])(**document["args"])
    return operator


def silence_optuna() -> None:
    """Keep what Optuna warns about a sampler's arguments, once a trial, from the log."""
    ignore_warning("", ExperimentalWarning)
    ignore_warning(".*has been deprecated in v", FutureWarning)
    ignore_warning("Separable CMA-ES does not operate meaningfully", UserWarning)
    # Values and constraints that are infinite or near the largest float, and a popsize of 2.
    ignore_warning("(overflow|invalid value|divide by zero) encountered", RuntimeWarning)


def _convert_args(component: Component) -> dict[str, Any]:
    kind = KINDS[component.type]
    args = {name: value for name, value in component.args.items() if name != kind.inner}
    for name in kind.operators:
        if name in args:
            args[name] = build_operator(args[name])
    if "reference_points" in args:
        args["reference_points"] = np.array(args["reference_points"], dtype=float)
    return args | dict.fromkeys(_TAKES_QUIET.get(component.type, ()), False)
