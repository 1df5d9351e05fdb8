"""Optuna's samplers: named in JSON, checked once, seeded per call."""

from service.samplers.build import build_sampler
from service.samplers.kinds import needs_process
from service.samplers.per_call import EXHAUSTED_ATTR, RELATIVE_ATTR, PerCallSampler
from service.samplers.resolve import default_sampler, resolve_sampler
from service.samplers.suggestible import check_fixed_params, check_suggestible

__all__ = [
    "EXHAUSTED_ATTR",
    "RELATIVE_ATTR",
    "PerCallSampler",
    "build_sampler",
    "check_fixed_params",
    "check_suggestible",
    "default_sampler",
    "needs_process",
    "resolve_sampler",
]
