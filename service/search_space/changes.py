"""Whether two distributions of one name are the same."""

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from service.search_space.json_values import is_same_json
from service.search_space.scalars import describe

_MAX_SHOWN = 20


def find_distribution_change(old: BaseDistribution, new: BaseDistribution) -> str | None:
    """Return why a trial that has a parameter as `old` cannot have it as `new`, or None.

    Ranges are compared as their step leaves them; choices in their order, true not being 1.
    """
    if _is_same(old, new):
        return None
    return (
        f"This trial has it as {_describe(old)}, not {_describe(new)}; "
        "declare it as before, or under another name."
    )


def _is_same(old: BaseDistribution, new: BaseDistribution) -> bool:
    if isinstance(old, CategoricalDistribution) and isinstance(new, CategoricalDistribution):
        return is_same_json(old.choices, new.choices)
    return old == new


def _describe(distribution: BaseDistribution) -> str:
    match distribution:
        case CategoricalDistribution(choices=choices):
            shown = ", ".join(describe(choice) for choice in choices[:_MAX_SHOWN])
            return f"a choice of {shown}" + (", …" if len(choices) > _MAX_SHOWN else "")
        case FloatDistribution(low=low, high=high, log=log, step=step):
            return f"a float from {low} to {high}" + _describe_scale(log=log, step=step)
        case IntDistribution(low=low, high=high, log=log, step=step):
            return f"an int from {low} to {high}" + _describe_scale(log=log, step=step)
        case _:
            return f"a {type(distribution).__name__}"


def _describe_scale(*, log: bool, step: float | None) -> str:
    if log:
        return ", log"
    return "" if step is None else f", step {step}"
