"""The API's requests, built from plain arguments. No IO: any kind of client can send them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any
from urllib.parse import quote

from asktell._connection import Request
from asktell._json import encode_number, to_plain
from asktell._optuna import direction_word, told_state_word

# A reason is for people; a traceback of a framework can be endless.
LONGEST_REASON = 2000


def create_study(document: Mapping[str, Any], *, if_exists: str) -> Request:
    return Request("POST", "/studies", body={**document, "if_exists": if_exists})


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


def get_trial(name: str, number: int) -> Request:
    return Request("GET", trial_path(name, number))


def ask(name: str, *, count: int, params: Mapping[str, Any] | None) -> Request:
    body: dict[str, Any] = {"count": count}
    if params is not None:
        body["params"] = to_plain(params)
    return Request("POST", f"{study_path(name)}/ask", body=body, idempotency_key=uuid.uuid4().hex)


def suggest(name: str, number: int, distributions: Mapping[str, Any]) -> Request:
    return Request("POST", f"{trial_path(name, number)}/suggest", body=dict(distributions))


def report(name: str, number: int, *, step: int, value: Any) -> Request:
    body = {"step": step, "value": encode_number(value)}
    return Request("POST", f"{trial_path(name, number)}/report", body=body)


def prune(name: str, number: int) -> Request:
    return Request("POST", f"{trial_path(name, number)}/prune")


def tell(
    name: str,
    number: int,
    *,
    state: str | Enum,
    values: Sequence[Any] | None,
    reason: str | None,
    user_attrs: Mapping[str, Any] | None,
) -> Request:
    body: dict[str, Any] = {"state": told_state_word(state)}
    if values is not None:
        body["values"] = [encode_number(value) for value in values]
    if reason is not None:
        body["reason"] = reason[:LONGEST_REASON]
    if user_attrs:
        body["user_attrs"] = to_plain(user_attrs)
    return Request("POST", f"{trial_path(name, number)}/tell", body=body)


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
    if not name or "/" in name or "\0" in name:
        raise ValueError(f"A study's name is not empty and has no / and no NUL in it: {name!r}.")
    # quote leaves dots alone, and the names . and .. would be taken for folders on the way.
    return f"/studies/{quote(name, safe='').replace('.', '%2E')}"


def trial_path(name: str, number: int) -> str:
    return f"{study_path(name)}/trials/{number:d}"


def _describe_directions(words: Sequence[str]) -> dict[str, Any]:
    if len(words) == 1:
        return {"direction": words[0]}
    return {
        "objectives": [
            {"name": f"value_{index}", "direction": word} for index, word in enumerate(words)
        ]
    }
