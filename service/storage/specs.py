"""A study's spec and settings as the JSON documents kept in `asktell.studies`, and back."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from service.domain.studies import (
    AttemptEnd,
    Budget,
    Component,
    Direction,
    Objective,
    RetryMode,
    RetryPolicy,
    StudySettings,
    StudySpec,
)
from service.domain.user_code import Role, UserCode
from service.search_space import find_read_entries


def spec_to_document(spec: StudySpec) -> dict[str, Any]:
    """The spec as plain JSON types; key order is kept wherever the client chose it.

    Whoever serialises it must refuse NaN and infinities, which Postgres does not store as JSON.
    """
    readings = find_read_entries(spec.space or {})
    return {
        "name": spec.name,
        "objectives": [_objective_to_document(objective) for objective in spec.objectives],
        "space": spec.space,
        "sampler": _component_to_document(spec.sampler),
        "pruner": None if spec.pruner is None else _component_to_document(spec.pruner),
        "seed": spec.seed,
        "user_attrs": spec.user_attrs,
        **({"user_code": _code_to_document(spec.user_code)} if spec.user_code else {}),
        # What whoever reads a trial needs of the space.
        **({"readings": readings} if readings else {}),
    }


def spec_from_document(document: Mapping[str, Any]) -> StudySpec:
    """The spec that `spec_to_document` wrote, equal to the original.

    Raises:
        KeyError, TypeError, ValueError: The document was not written by `spec_to_document`.
    """
    pruner = document["pruner"]
    return StudySpec(
        name=document["name"],
        objectives=objectives_from_document(document["objectives"]),
        space=document["space"],
        sampler=_component_from_document(document["sampler"]),
        pruner=None if pruner is None else _component_from_document(pruner),
        seed=document["seed"],
        user_attrs=document["user_attrs"],
        user_code=_code_from_document(document.get("user_code")),
    )


def _code_to_document(code: UserCode) -> dict[str, Any]:
    functions = {role.value: name for role, name in code.functions.items()}
    return {
        "source": code.source,
        "functions": functions,
        **({"has_terminator": True} if code.has_terminator else {}),
    }


def _code_from_document(document: Mapping[str, Any] | None) -> UserCode | None:
    if document is None:
        return None
    functions = {Role(role): name for role, name in document["functions"].items()}
    has_terminator = document.get("has_terminator", False)
    return UserCode(document["source"], functions, has_terminator=has_terminator)


def settings_to_document(settings: StudySettings) -> dict[str, Any]:
    """The settings as plain JSON types; limits that are None are written as null."""
    retry = settings.retry
    return {
        "budget": asdict(settings.budget),
        "parallelism": settings.parallelism,
        "lease_seconds": settings.lease_seconds,
        "retry": {
            "max_attempts": retry.max_attempts,
            "on": sorted(end.value for end in retry.on),
            "mode": retry.mode.value,
        },
    }


def settings_from_document(document: Mapping[str, Any]) -> StudySettings:
    """The settings that `settings_to_document` wrote, equal to the original."""
    retry = document["retry"]
    return StudySettings(
        budget=Budget(**document["budget"]),
        parallelism=document["parallelism"],
        lease_seconds=document["lease_seconds"],
        retry=RetryPolicy(
            max_attempts=retry["max_attempts"],
            on=frozenset(map(AttemptEnd, retry["on"])),
            mode=RetryMode(retry["mode"]),
        ),
    )


def objectives_from_document(document: list[dict[str, Any]]) -> tuple[Objective, ...]:
    """The `objectives` part of a spec document, for rows that carry nothing else of it."""
    return tuple(
        Objective(name=objective["name"], direction=Direction(objective["direction"]))
        for objective in document
    )


def _objective_to_document(objective: Objective) -> dict[str, str]:
    return {"name": objective.name, "direction": objective.direction.value}


def _component_to_document(component: Component) -> dict[str, Any]:
    return {"type": component.type, "args": component.args}


def _component_from_document(document: Mapping[str, Any]) -> Component:
    return Component(type=document["type"], args=document["args"])
