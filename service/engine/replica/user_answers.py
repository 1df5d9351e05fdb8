"""What a user's code says, checked completely before anything is made of it."""

from collections.abc import Mapping
from typing import Any, NoReturn

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.exceptions import UpdateFinishedTrialError

from service.domain.limits import MAX_NAME_LENGTH
from service.domain.user_code import BEGUN_ATTR, PRUNER_STATE_ATTR, SAMPLER_STATE_ATTR
from service.engine.constraints import CONSTRAINTS_ATTR
from service.engine.drawing import FIXED_ATTR
from service.engine.mirror import Mirror
from service.samplers import RELATIVE_ATTR
from service.sandbox import FileFailed, check_json, read_failure
from service.search_space import describe, find_value_problem, list_json_problems
from service.search_space.scalars import find_text_problem
from service.storage.journal import AttrKind

_OURS = "asktell:"
_WRITTEN_FOR_THEM = frozenset({BEGUN_ATTR, PRUNER_STATE_ATTR, SAMPLER_STATE_ATTR, RELATIVE_ATTR})
_NOT_THEIRS = frozenset({CONSTRAINTS_ATTR, FIXED_ATTR})


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
    if problem := find_value_problem(distribution, value):
        raise FileFailed(f"The sampler gave {describe(value)} for {describe(name)}. {problem}")
    return value


def write_attributes(mirror: Mirror, writes: Any) -> None:
    """Sets the attributes that a user's code has set, in its own copy of the study.

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
                _check_attribute(kind, key, each["value"])
                _write(mirror, trial_id, AttrKind(kind), key, each["value"])
            case _:
                _refuse()


def _is_inside(name: str, distribution: BaseDistribution, value: Any) -> bool:
    try:
        distribution.to_internal_repr(value)
    except (ValueError, TypeError):
        read_drawn_value(name, distribution, value)
    return find_value_problem(distribution, value) is None


def _read_mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else _refuse()


def _read_distribution(text: Any) -> BaseDistribution:
    if not isinstance(text, str):
        _refuse()
    try:
        return json_to_distribution(text)
    except (ValueError, TypeError, KeyError) as error:
        raise FileFailed("The sampler gave a distribution that is none of Optuna's.") from error


def _check_attribute(kind: str, key: str, value: Any) -> None:
    what = f"The attribute {describe(key)}"
    if not 1 <= len(key) <= MAX_NAME_LENGTH:
        raise FileFailed(f"{what}: its name may have 1 to {MAX_NAME_LENGTH} characters.")
    if problem := find_text_problem(key):
        raise FileFailed(f"{what}: {problem}")
    if kind == AttrKind.SYSTEM:
        _check_theirs(key, what)
    check_json(value)
    for path, problem in list_json_problems(value, what):
        raise FileFailed(f"{path}: {problem}")


def _check_theirs(key: str, what: str) -> None:
    is_ours = key.startswith(_OURS) and key not in _WRITTEN_FOR_THEM
    if is_ours or key in _NOT_THEIRS:
        raise FileFailed(f"{what} is for the service to set.")


def _write(mirror: Mirror, trial_id: int | None, kind: AttrKind, key: str, value: Any) -> None:
    is_user = kind is AttrKind.USER
    if trial_id is None:
        set_study = mirror.set_study_user_attr if is_user else mirror.set_study_system_attr
        set_study(mirror.study_id, key, value)
        return
    set_trial = mirror.set_trial_user_attr if is_user else mirror.set_trial_system_attr
    try:
        set_trial(trial_id, key, value)
    except (KeyError, UpdateFinishedTrialError) as error:
        raise FileFailed(
            f"The attribute {describe(key)} is for a trial that has ended; only those of running "
            "trials and of the study can be set."
        ) from error


def _refuse() -> NoReturn:
    raise FileFailed("The study's Python answered with something that no file can say.")
