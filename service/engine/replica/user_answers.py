"""What a user's code says, checked completely before anything is made of it."""

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.exceptions import UpdateFinishedTrialError

from service.domain.limits import MAX_NAME_LENGTH
from service.domain.user_code import (
    BEGUN_ATTR,
    PRUNER_STATE_ATTR,
    SAMPLER_STATE_ATTR,
    THEIR_PREFIX,
)
from service.engine.mirror import Mirror
from service.engine.replica.remote_sampler import write_attribute
from service.samplers import RELATIVE_ATTR
from service.sandbox import FileFailed, check_json, read_failure
from service.search_space import describe, find_value_problem, list_json_problems
from service.search_space.scalars import find_text_problem
from service.storage.journal import AttrKind

OF_SAMPLERS = frozenset({SAMPLER_STATE_ATTR, BEGUN_ATTR, RELATIVE_ATTR})
OF_PRUNERS = frozenset({PRUNER_STATE_ATTR})
"""System attributes that our part of the process sets for theirs."""

_MOST_STATE_LENGTH = 96 * 1024
_OURS = "asktell:"
# What odd values and documents end in, in Optuna's hands or ours.
_ODD = (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError)


def read_value(answer: Mapping[str, Any]) -> Any:
    """Returns what a call gave.

    Raises:
        FileFailed: The user's code raised.
    """
    if "failed" in answer:
        if not isinstance(answer["failed"], dict):
            _refuse()
        reason = read_failure(answer["failed"]).reason
        raise FileFailed(f"The study's Python: {reason}")
    return answer.get("value")


def read_decision(answer: Mapping[str, Any]) -> bool:
    """Returns what a pruner or a terminator said.

    Raises:
        FileFailed: It raised.
    """
    value = read_value(answer)
    return value if isinstance(value, bool) else _refuse()


def read_drawn(
    answer: Mapping[str, Any],
) -> tuple[dict[str, BaseDistribution], dict[str, Any]]:
    """Returns a joint draw: distributions and values by name.

    A number outside its distribution is left out: as in Optuna, it is drawn by itself then.

    Raises:
        FileFailed: The sampler raised, or gave what is no value of such a distribution at all.
    """
    value = _read_mapping(read_value(answer))
    space, params = _read_mapping(value.get("space")), _read_mapping(value.get("params"))
    if space.keys() != params.keys():
        _refuse()
    distributions = {name: _read_distribution(found) for name, found in space.items()}
    inside = [name for name in params if _is_inside(name, distributions[name], params[name])]
    return {name: distributions[name] for name in inside}, {name: params[name] for name in inside}


def read_drawn_value(name: str, distribution: BaseDistribution, value: Any) -> Any:
    """Returns a value that a sampler gave.

    Raises:
        FileFailed: It is not in the distribution.
    """
    try:
        problem = find_value_problem(distribution, value)
    except _ODD:
        raise _refuse_value(name, value) from None
    if problem:
        raise _refuse_value(name, value, problem)
    return value


def write_attributes(
    mirror: Mirror, writes: Any, *, ours: frozenset[str] = frozenset(), is_late: bool = False
) -> None:
    """Sets the attributes that a user's code has set, in its own copy of the study.

    Args:
        ours: System attributes that may be among them, and do not begin with `THEIR_PREFIX`.
        is_late: Whether trials may have ended since the code looked; theirs are left out.

    Raises:
        FileFailed: One is not for it to set, or cannot be stored.
    """
    if not isinstance(writes, list):
        _refuse()
    for each in writes:
        match each:
            case {"trial_id": int() | None as trial_id, "kind": str(kind), "key": str(key)} if (
                "value" in each and kind in set(AttrKind)
            ):
                _check_attribute(kind, key, each["value"], ours)
                _write(mirror, trial_id, AttrKind(kind), key, each["value"], is_late=is_late)
            case _:
                _refuse()


def _is_inside(name: str, distribution: BaseDistribution, value: Any) -> bool:
    try:
        distribution.to_internal_repr(value)
        return find_value_problem(distribution, value) is None
    except _ODD:
        raise _refuse_value(name, value) from None


def _read_mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else _refuse()


def _refuse_value(name: str, value: Any, problem: str = "") -> FileFailed:
    text = f"The sampler gave {describe(value)} for {describe(name)}. {problem}"
    return FileFailed(text.rstrip())


def _read_distribution(text: Any) -> BaseDistribution:
    if not isinstance(text, str):
        _refuse()
    try:
        _check_choices(json.loads(text))
        return json_to_distribution(text)
    except _ODD as error:
        raise FileFailed("The sampler gave a distribution that is none of Optuna's.") from error


def _check_choices(document: Any) -> None:
    """Optuna takes any choices, and warns of odd ones with their text."""
    choices = document["attributes"].get("choices", ())
    if any(isinstance(choice, list | dict) for choice in choices):
        raise TypeError("choices that are no scalars")


def _check_attribute(kind: str, key: str, value: Any, ours: frozenset[str]) -> None:
    what = f"The attribute {describe(key.removeprefix(THEIR_PREFIX))}"
    if not 1 <= len(key) <= MAX_NAME_LENGTH:
        raise FileFailed(f"{what}: its name may have 1 to {MAX_NAME_LENGTH} characters.")
    if problem := find_text_problem(key):
        raise FileFailed(f"{what}: {problem}")
    if kind == AttrKind.USER and key.startswith(_OURS):
        raise FileFailed(f"{what} is for the service to set.")
    if kind == AttrKind.SYSTEM and not key.startswith(THEIR_PREFIX):
        _check_ours(key, value, ours)
    check_json(value)
    for path, problem in list_json_problems(value, what):
        raise FileFailed(f"{path}: {problem}")


def _check_ours(key: str, value: Any, ours: frozenset[str]) -> None:
    if key not in ours:
        _refuse()
    is_state = key in (SAMPLER_STATE_ATTR, PRUNER_STATE_ATTR) and value is not None
    if is_state and not (isinstance(value, str) and len(value) <= _MOST_STATE_LENGTH):
        _refuse()


def _write(
    mirror: Mirror, trial_id: int | None, kind: AttrKind, key: str, value: Any, *, is_late: bool
) -> None:
    try:
        write_attribute(mirror, trial_id=trial_id, kind=kind, key=key, value=value)
    except UpdateFinishedTrialError as error:
        if not is_late:
            raise FileFailed(
                f"The attribute {describe(key.removeprefix(THEIR_PREFIX))} is for a trial that has "
                "ended; only those of running trials and of the study can be set."
            ) from error
    except KeyError as error:
        raise FileFailed("It set an attribute of a trial that there is not.") from error


def _refuse() -> NoReturn:
    raise FileFailed("The study's Python answered with something that no file can say.")
