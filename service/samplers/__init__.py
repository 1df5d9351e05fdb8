"""Optuna's samplers: named in JSON, checked once, seeded per call."""

from service.samplers.build import build_sampler
from service.samplers.kinds import is_users_sampler, needs_process
from service.samplers.per_call import EXHAUSTED_ATTR, RELATIVE_ATTR, PerCallSampler
from service.samplers.resolve import default_sampler, is_available, resolve_sampler
from service.samplers.suggestible import check_fixed_params, check_suggestible

__all__ = [
    "EXHAUSTED_ATTR",
    "RELATIVE_ATTR",
    "PerCallSampler",
    "build_sampler",
    "check_fixed_params",
    "check_suggestible",
    "default_sampler",
    "is_available",
    "is_users_sampler",
    "needs_process",
    "resolve_sampler",
]
