"""Parameters that code declares in more than one way, each of which Optuna keeps by itself.

A file may let `batch_size` be one of 16, 32 and 64 in one branch and of 128 and 256 in another.
Optuna refuses a name whose choices or kind change from trial to trial. What does not agree with the
first way is therefore kept under a name of its own, and everybody but Optuna sees the declared one.
"""

import json
from hashlib import blake2b

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    check_distribution_compatibility,
)

from service.domain.limits import MAX_NAME_LENGTH
from service.search_space.json_values import is_same_json

SEPARATOR = " ∈ "
"""Between the declared name and what tells its variants apart."""

_LOG = {True: " (log)", False: ""}


def choose_kept_name(
    name: str, distribution: BaseDistribution, first: BaseDistribution | None
) -> str:
    """Return the name under which Optuna keeps a parameter that is declared like this.

    The same for whatever Optuna takes for the same parameter: ranges and steps may change.

    Args:
        first: As what the study keeps under the declared name; None if it keeps nothing there.
    """
    if first is None or _is_kept_as(first, distribution):
        return name
    variant = f"{name}{SEPARATOR}{_describe(distribution)}"
    if len(variant) <= MAX_NAME_LENGTH:
        return variant
    digest = blake2b(variant.encode(), digest_size=8).hexdigest()
    return f"{variant[: MAX_NAME_LENGTH - len(digest) - 1]} {digest}"


def find_declared_name(kept: str) -> str:
    """Return the name that the code gave a parameter."""
    return kept.partition(SEPARATOR)[0]


def find_variant_problem(name: str) -> str | None:
    """Return why code cannot give a parameter this name, or None."""
    if SEPARATOR in name:
        return f"A parameter's name must not contain {SEPARATOR.strip()!r} between two spaces."
    if len(name) + len(SEPARATOR) > MAX_NAME_LENGTH // 2:
        return f"A parameter's name may have at most {MAX_NAME_LENGTH // 2} characters here."
    return None


def _is_kept_as(first: BaseDistribution, distribution: BaseDistribution) -> bool:
    """Whether Optuna may keep both under one name: it takes true for 1, which is another choice."""
    try:
        check_distribution_compatibility(first, distribution)
    except ValueError:
        return False
    if isinstance(first, CategoricalDistribution) and isinstance(
        distribution, CategoricalDistribution
    ):
        return is_same_json(first.choices, distribution.choices)
    return True


def _describe(distribution: BaseDistribution) -> str:
    match distribution:
        case CategoricalDistribution(choices=choices):
            return json.dumps(choices, ensure_ascii=False)
        case FloatDistribution(log=log):
            return f"float{_LOG[log]}"
        case IntDistribution(log=log):
            return f"int{_LOG[log]}"
        case _:
            return type(distribution).__name__
