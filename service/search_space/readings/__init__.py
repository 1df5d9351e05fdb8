"""What a trial gets for what a sampler drew, where that is not the same.

Optuna knows uniform ranges, and choices that are scalars and differ. Any other parameter is drawn
from one of its distributions, and read by a `Reading`. Samplers and Optuna's tables have what was
drawn, everybody else sees the values that are read.
"""

from collections.abc import Mapping
from typing import Any

from service.search_space.readings.choices import IndexedChoices, WeightedChoices
from service.search_space.readings.continuous import Continuous
from service.search_space.readings.laws import SHARES, Beta, Law, LogNormal, Normal, Range
from service.search_space.readings.quantised import Quantised, find_lattice_ends
from service.search_space.readings.reading import Reading

__all__ = [
    "SHARES",
    "Beta",
    "Continuous",
    "IndexedChoices",
    "Law",
    "LogNormal",
    "Normal",
    "Quantised",
    "Range",
    "Reading",
    "WeightedChoices",
    "find_lattice_ends",
    "resolve_params",
]


def resolve_params(params: Mapping[str, Any], readings: Mapping[str, Reading]) -> dict[str, Any]:
    """Return drawn parameters, by flattened name, as everybody but Optuna sees them."""
    if not readings:
        return dict(params)
    return {
        name: readings[name].resolve(drawn) if name in readings else drawn
        for name, drawn in params.items()
    }
