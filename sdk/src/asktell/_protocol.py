"""The API's requests, built from plain arguments. No IO: any kind of client can send them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, Final, cast
from urllib.parse import quote

from asktell._json import encode_number, to_plain
from asktell._optuna import describe_distribution, direction_word, told_state_word
from asktell._requests import Request
from asktell._spaces import check_bounds
from asktell._texts import encode_text, escape_text, find_flaw

# A reason is for people; a traceback of a framework can be endless.
LONGEST_REASON = 2000


class LeftOut(Enum):
    """The default of settings for which None has a meaning: no limit."""

    LEFT_OUT = "left out"


LEFT_OUT: Final = LeftOut.LEFT_OUT


def describe_study(
    name: str,
    *,
    direction: str | Enum | None,
    directions: Iterable[str | Enum] | None,
    objectives: Mapping[str, str | Enum] | None,
    space: Mapping[str, Any] | None,
    python: str | Mapping[str, str] | None,
    sampler: str | Mapping[str, Any] | None,
    pruner: str | Mapping[str, Any] | None,
    lease_seconds: float | LeftOut | None,
    **options: Any,
) -> dict[str, Any]:
    """The document of a new study; of the options those that are not None.

    Raises:
        ValueError: More than one of direction, directions and objectives.
        TypeError: A sampler or pruner is an object of Optuna's, or something has no JSON form.
    """
    given = {
        **options,
        "sampler": _describe_component("sampler", sampler),
        "pruner": _describe_component("pruner", pruner),
        "space": None if space is None else describe_space(space),
        "python": {"source": python} if isinstance(python, str) else python,
    }
    return {
        "name": name,
        **describe_objectives(direction=direction, directions=directions, objectives=objectives),
        **{key: to_plain(value) for key, value in given.items() if value is not None},
        **describe_settings({"lease_seconds": lease_seconds}),
    }


def _describe_component(key: str, component: Any) -> Mapping[str, Any] | None:
    if isinstance(component, str):
        return {"type": component}
    if component is None or isinstance(component, Mapping):
        return component
    name = type(component).__name__
    raise TypeError(
        f'{key} is made on the server, of its name and arguments: {{"type": "{name}", '
        f'"args": {{…}}}}, not of {component!r}.'
    )


def create_study(document: Mapping[str, Any], *, if_exists: str, load_if_exists: bool) -> Request:
    if_exists = "load" if load_if_exists else if_exists
    return _add("/studies", {**document, "if_exists": if_exists})


def patch_study(name: str, document: Mapping[str, Any]) -> Request:
    return Request("PATCH", study_path(name), body=document)


def change_state(name: str, action: str) -> Request:
    return Request("POST", f"{study_path(name)}/{action}")


def get_study(name: str) -> Request:
    return Request("GET", study_path(name))


def delete_study(name: str) -> Request:
    return Request("DELETE", study_path(name))


def list_studies(
    *, state: str | None, name_contains: str | None, page_size: int, cursor: str | None
) -> Request:
    query: dict[str, str | list[str]] = {"limit": str(page_size)}
    query |= {} if state is None else {"state": state}
    query |= {} if name_contains is None else {"q": name_contains}
    query |= {} if cursor is None else {"cursor": cursor}
    return Request("GET", "/studies", query=query)


def list_trials(name: str, *, states: Sequence[str], page_size: int, cursor: str | None) -> Request:
    query: dict[str, str | list[str]] = {"limit": str(page_size)}
    query |= {"state": list(states)} if states else {}
    query |= {} if cursor is None else {"cursor": cursor}
    return Request("GET", f"{study_path(name)}/trials", query=query)


def get_best_trial(name: str) -> Request:
    return Request("GET", f"{study_path(name)}/best")


def list_best_trials(name: str) -> Request:
    return Request("GET", f"{study_path(name)}/pareto")


def list_distributions(name: str) -> Request:
    return Request("GET", f"{study_path(name)}/distributions")


def export(name: str, form: str) -> Request:
    return Request("GET", f"{study_path(name)}/export", query={"format": form})


def get_trial(name: str, number: int) -> Request:
    return Request("GET", trial_path(name, number))


def ask(
    name: str,
    *,
    count: int,
    params: Mapping[str, Any] | None = None,
    distributions: Mapping[str, Any] | None = None,
    lease_seconds: float | LeftOut | None,
    wait_seconds: float,
) -> Request:
    body = {"count": count, **describe_settings({"lease_seconds": lease_seconds})}
    if params is not None:
        body["params"] = to_plain(params)
    if distributions is not None:
        body["distributions"] = describe_space(distributions)
    if wait_seconds > 0:
        body["wait_seconds"] = wait_seconds
    return _add(f"{study_path(name)}/ask", body, wait_seconds=wait_seconds)


def enqueue(name: str, trials: Sequence[Mapping[str, Any]]) -> Request:
    return _add(f"{study_path(name)}/enqueue", {"trials": trials})


def import_trials(
    name: str, trials: Sequence[Mapping[str, Any]], *, idempotency_key: str | None = None
) -> Request:
    return _add(f"{study_path(name)}/trials", {"trials": trials}, key=idempotency_key)


def suggest(name: str, number: int, distributions: Mapping[str, Any]) -> Request:
    return Request("POST", f"{trial_path(name, number)}/suggest", body=dict(distributions))


def report(
    name: str, number: int, *, attempt: int, points: Iterable[tuple[int, float | str]]
) -> Request:
    documents = [{"step": step, "value": value} for step, value in points]
    body = {"points": documents, "attempt": attempt}
    return Request("POST", f"{trial_path(name, number)}/report", body=body)


def prune(name: str, number: int, *, attempt: int) -> Request:
    return Request("POST", f"{trial_path(name, number)}/prune", body={"attempt": attempt})


def heartbeat(name: str, number: int, *, attempt: int | None = None) -> Request:
    return Request("POST", f"{trial_path(name, number)}/heartbeat", body={"attempt": attempt})


def tell(name: str, number: int, outcome: Mapping[str, Any]) -> Request:
    return Request("POST", f"{trial_path(name, number)}/tell", body=outcome)


def tell_many(name: str, outcomes: Sequence[Mapping[str, Any]]) -> Request:
    return Request("POST", f"{study_path(name)}/tell", body={"tells": outcomes})


def create_sweep(document: Mapping[str, Any]) -> Request:
    return _add("/sweeps", to_plain(document))


def create_sweep_file(text: str, **open_parts: str | None) -> Request:
    query: dict[str, str | list[str]] = {
        name: value for name, value in open_parts.items() if value is not None
    }
    key = uuid.uuid4().hex
    return Request("POST", "/sweeps", yaml=text, query=query, idempotency_key=key)


def get_sweep(name: str) -> Request:
    return Request("GET", sweep_path(name))


def list_sweeps(
    *, state: str | None, name_contains: str | None, page_size: int, cursor: str | None
) -> Request:
    query: dict[str, str | list[str]] = {"limit": str(page_size)}
    query |= {} if state is None else {"state": state}
    query |= {} if name_contains is None else {"q": name_contains}
    query |= {} if cursor is None else {"cursor": cursor}
    return Request("GET", "/sweeps", query=query)


def change_sweep_state(name: str, action: str) -> Request:
    return Request("POST", f"{sweep_path(name)}/{action}")


def list_attempts(
    name: str,
    *,
    states: Sequence[str],
    trial: int | None,
    page_size: int,
    cursor: str | None,
) -> Request:
    query: dict[str, str | list[str]] = {"limit": str(page_size)}
    query |= {"state": list(states)} if states else {}
    query |= {} if trial is None else {"trial": str(trial)}
    query |= {} if cursor is None else {"cursor": cursor}
    return Request("GET", f"{sweep_path(name)}/attempts", query=query)


def get_attempt(name: str, attempt_id: str) -> Request:
    return Request("GET", attempt_path(name, attempt_id))


def get_log(name: str, attempt_id: str, *, offset: int) -> Request:
    return Request("GET", f"{attempt_path(name, attempt_id)}/log", query={"offset": str(offset)})


def list_workers() -> Request:
    return Request("GET", "/workers")


def describe_outcome(
    state: str | Enum | None,
    values: Any,
    *,
    reason: str | None = None,
    cause: str | None = None,
    constraints: Mapping[str, Any] | Sequence[Any] | None = None,
    user_attrs: Mapping[str, Any] | None = None,
    attempt: int | None = None,
) -> dict[str, Any]:
    """How a trial ended, as `tell` takes it; COMPLETE when there are values and no state.

    Raises:
        ValueError: Neither values nor a state, or a state in which no trial ends.
        TypeError: A value is no number.
    """
    if state is None and values is None:
        raise ValueError("Tell values, or a state: PRUNED or FAIL.")
    body: dict[str, Any] = {"state": told_state_word(state or "COMPLETE")}
    if values is not None:
        body["values"] = _encode_numbers(values)
    if reason is not None:
        body["reason"] = escape_text(reason)[:LONGEST_REASON]
    if constraints:
        body["constraints"] = describe_constraints(constraints)
    if user_attrs:
        body["user_attrs"] = to_plain(user_attrs)
    named = {"cause": cause, "attempt": attempt}
    return body | {key: value for key, value in named.items() if value is not None}


def describe_constraints(constraints: Mapping[str, Any] | Sequence[Any]) -> Any:
    """An object by name, or a list for constraints without names."""
    if isinstance(constraints, Mapping):
        return {name: encode_number(value) for name, value in constraints.items()}
    return [encode_number(value) for value in constraints]


def describe_space(space: Mapping[str, Any]) -> dict[str, Any]:
    """A space as the API takes it; Optuna's distributions may stand for our documents."""
    documents = {
        name: describe_distribution(document) or document for name, document in space.items()
    }
    for name, document in documents.items():
        check_bounds(name, document)
    return cast("dict[str, Any]", to_plain(documents))


def describe_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those settings that were not left out."""
    return {key: to_plain(value) for key, value in settings.items() if value is not LEFT_OUT}


def state_words(states: Iterable[str | Enum] | None) -> list[str]:
    """States as the API writes them; none for all."""
    return [(state.name if isinstance(state, Enum) else state).upper() for state in states or ()]


def describe_objectives(
    *,
    direction: str | Enum | None,
    directions: Iterable[str | Enum] | None,
    objectives: Mapping[str, str | Enum] | None,
) -> dict[str, Any]:
    """The part of a study's document that says what is optimised; minimising by default.

    Raises:
        ValueError: More than one of the three is given, or one is no direction.
    """
    given = [form for form in (direction, directions, objectives) if form is not None]
    if len(given) > 1:
        raise ValueError("Give one of direction, directions and objectives.")
    if objectives is not None:
        return {
            "objectives": [
                {"name": name, "direction": direction_word(word)}
                for name, word in objectives.items()
            ]
        }
    if directions is not None:
        return _describe_directions([direction_word(word) for word in directions])
    return {"direction": direction_word(direction or "minimize")}


def study_path(name: str) -> str:
    """The path of a study; every character but letters, digits, `-`, `_` and `~` is encoded.

    Raises:
        ValueError: No study can have this name.
    """
    if not name or "/" in name or find_flaw(name) is not None:
        raise ValueError(
            "A study's name is not empty and has no /, no NUL and no half of a surrogate pair in "
            f"it: {name!r}."
        )
    # quote leaves dots alone, and the names . and .. would be taken for folders on the way.
    return f"/studies/{quote(name, safe='').replace('.', '%2E')}"


def trial_path(name: str, number: int) -> str:
    return f"{study_path(name)}/trials/{number:d}"


def sweep_path(name: str) -> str:
    """The path of a sweep, which is known by the name of its study."""
    return f"/sweeps/{study_path(name).removeprefix('/studies/')}"


def attempt_path(name: str, attempt_id: str) -> str:
    return f"{sweep_path(name)}/attempts/{quote(encode_text(attempt_id), safe='')}"


def _add(
    path: str, body: Mapping[str, Any], *, wait_seconds: float = 0.0, key: str | None = None
) -> Request:
    key = key or uuid.uuid4().hex
    return Request("POST", path, body=body, idempotency_key=key, wait_seconds=wait_seconds)


def _encode_numbers(values: Any) -> list[float | str]:
    is_several = isinstance(values, Sequence) and not isinstance(values, str)
    return [encode_number(value) for value in (values if is_several else [values])]


def _describe_directions(words: Sequence[str]) -> dict[str, Any]:
    if len(words) == 1:
        return {"direction": words[0]}
    return {
        "objectives": [
            {"name": f"value_{index}", "direction": word} for index, word in enumerate(words)
        ]
    }
