"""Declared search spaces: parsed, checked, flattened and nested."""

from service.search_space.changes import find_distribution_change
from service.search_space.distributions import parse_distribution
from service.search_space.json_values import is_same_json, list_json_problems, show_json
from service.search_space.params import (
    check_complete_params,
    check_fixed_values,
    check_params,
)
from service.search_space.parse import find_read_entries, parse_readings, parse_space
from service.search_space.readings import Reading, find_lattice_ends, resolve_params
from service.search_space.scalars import (
    describe,
    find_name_problem,
    find_number_problem,
    find_scalar_problem,
)
from service.search_space.spaces import Parameter, SearchSpace, flatten, nest
from service.search_space.values import find_value_problem

__all__ = [
    "Parameter",
    "Reading",
    "SearchSpace",
    "check_complete_params",
    "check_fixed_values",
    "check_params",
    "describe",
    "find_distribution_change",
    "find_lattice_ends",
    "find_name_problem",
    "find_number_problem",
    "find_read_entries",
    "find_scalar_problem",
    "find_value_problem",
    "flatten",
    "is_same_json",
    "list_json_problems",
    "nest",
    "parse_distribution",
    "parse_readings",
    "parse_space",
    "resolve_params",
    "show_json",
]
