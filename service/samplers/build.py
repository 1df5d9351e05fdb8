"""The sampler of a study, from what is stored."""

from service.domain.studies import Component
from service.samplers.per_call import PerCallSampler
from service.search_space import SearchSpace


def build_sampler(component: Component, *, seed: int, space: SearchSpace | None) -> PerCallSampler:
    """Return the sampler that a resolved component describes (see `resolve_sampler`).

    Args:
        seed: The study's seed, 0 ≤ seed < 2**32.
        space: The study's declared space, or None if trials declare their parameters.
    """
    return PerCallSampler(component, seed=seed, space=space)
