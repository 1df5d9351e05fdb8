"""What tests of sampler specs start from: spaces, and how a refusal is read."""

from typing import Any

import pytest

from service.domain.errors import InvalidSampler
from service.domain.studies import Component
from service.samplers import resolve_sampler
from service.search_space import SearchSpace, parse_space

SPACE = parse_space(
    {
        "c": {"type": "categorical", "choices": ["a", "b"]},
        "n": {"type": "int", "low": 1, "high": 5, "step": 2},
        "x": {"type": "float", "low": 0, "high": 0.3, "step": 0.1},
        "one": {"type": "int", "low": 1, "high": 1},
    }
)
CONTINUOUS = parse_space({"x": {"type": "float", "low": 0, "high": 1}})
CONDITIONAL = parse_space(
    {
        "c": {"type": "categorical", "choices": ["a", "b"]},
        "n": {"type": "int", "low": 1, "high": 5, "when": {"c": ["a"]}},
    }
)
RANDOM = {"type": "RandomSampler"}


def refusal(
    type_: str, args: dict[str, Any], space: SearchSpace | None = None, n_objectives: int = 1
) -> tuple[str, str]:
    with pytest.raises(InvalidSampler) as caught:
        resolve_sampler(Component(type_, args), space=space, n_objectives=n_objectives)
    first = caught.value.errors[0]
    assert first.message in caught.value.message
    return first.field, first.message
