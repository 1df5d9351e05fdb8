"""What can be executed in Flyte: what it takes and gives, and whether that fits a sweep."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

import grpc
from flytekit.clients.friendly import SynchronousFlyteClient
from flytekit.models.core.identifier import Identifier, ResourceType
from flytekit.models.types import LiteralType

from service.domain.arguments import did_you_mean
from service.domain.flyte import EntityKind, EntityName
from service.schedulers.executors.flyte.errors import NoSuchEntity, find_status
from service.schedulers.executors.flyte.literals import (
    Unfit,
    build_literal,
    describe_type,
    is_number,
)

_WORDS = {
    EntityKind.TASK: "task",
    EntityKind.WORKFLOW: "workflow",
    EntityKind.LAUNCH_PLAN: "launch plan",
}


@dataclass(frozen=True, slots=True)
class Interface:
    """What an entity takes and gives.

    Attributes:
        required: Names of inputs that have no default.
        executed: What Flyte is told to execute.
    """

    inputs: Mapping[str, LiteralType]
    required: frozenset[str]
    outputs: Mapping[str, LiteralType]
    executed: Identifier


class Interfaces:
    """Interfaces of registered entities; each is fetched once, for a version never changes."""

    def __init__(self, client: SynchronousFlyteClient) -> None:
        self._client = client
        self._known: dict[tuple[EntityKind, EntityName], Interface] = {}

    def find(self, kind: EntityKind, name: EntityName) -> Interface:
        """The interface of an entity.

        Raises:
            NoSuchEntity: There is none, or it cannot be seen.
        """
        if (kind, name) not in self._known:
            self._known[kind, name] = self._fetch(kind, name)
        return self._known[kind, name]

    def forget(self, kind: EntityKind, name: EntityName) -> None:
        """Has it fetched anew: Flyte does not know the entity any more."""
        self._known.pop((kind, name), None)
        # flytekit remembers them, too.
        for get in (self._client.get_task, self._client.get_workflow, self._client.get_launch_plan):
            get.cache_clear()

    def _fetch(self, kind: EntityKind, name: EntityName) -> Interface:
        try:
            match kind:
                case EntityKind.TASK:
                    return self._fetch_task(name)
                case EntityKind.WORKFLOW | EntityKind.LAUNCH_PLAN:
                    return self._fetch_launch_plan(name)
                case _:
                    assert_never(kind)
        except Exception as error:
            if find_status(error) is not grpc.StatusCode.NOT_FOUND:
                raise
            raise NoSuchEntity(
                f"Flyte has no {describe_entity(kind, name)}. Register it, or correct its name."
            ) from error

    def _fetch_task(self, name: EntityName) -> Interface:
        executed = _identify(ResourceType.TASK, name)
        template = self._client.get_task(executed).closure.compiled_task.template
        inputs = {key: each.type for key, each in template.interface.inputs.items()}
        outputs = {key: each.type for key, each in template.interface.outputs.items()}
        return Interface(inputs, frozenset(inputs), outputs, executed)

    def _fetch_launch_plan(self, name: EntityName) -> Interface:
        executed = _identify(ResourceType.LAUNCH_PLAN, name)
        closure = self._client.get_launch_plan(executed).closure
        parameters = closure.expected_inputs.parameters
        return Interface(
            {key: each.var.type for key, each in parameters.items()},
            frozenset(key for key, each in parameters.items() if each.required),
            {key: each.type for key, each in closure.expected_outputs.variables.items()},
            executed,
        )


def describe_entity(kind: EntityKind, name: EntityName) -> str:
    """An entity as sentences name it, such as "task flytesnacks/development/train@v1"."""
    return f"{_WORDS[kind]} {name}"


def choose_outputs(
    interface: Interface, metrics: Sequence[str], given: Mapping[str, str]
) -> dict[str, str]:
    """Returns which output is which metric: the given one, the one of its name, or o0, o1, …"""
    return {
        metric: given.get(metric) or (metric if metric in interface.outputs else f"o{position}")
        for position, metric in enumerate(metrics)
    }


def find_problems(
    interface: Interface, examples: Mapping[str, Sequence[Any]], outputs: Mapping[str, str]
) -> list[str]:
    """Says all that keeps an entity from being executed like this.

    Args:
        examples: Values that inputs get, by name; all inputs that any trial gives.
        outputs: Those that trials get their values from, by metric.
    """
    return [
        *_find_unknown(interface, examples),
        *_find_missing(interface, examples),
        *_find_unfit(interface, examples),
        *_find_lacking(interface, outputs),
    ]


def _find_unknown(interface: Interface, examples: Mapping[str, Any]) -> Iterator[str]:
    for name in examples:
        if name not in interface.inputs:
            yield f"It has no input {name!r}{_hint(name, interface.inputs)}"


def _find_missing(interface: Interface, examples: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(interface.required - set(examples)):
        kind = describe_type(interface.inputs[name])
        yield f"Its input {name!r} of type {kind} is given by no parameter and not in `inputs`."


def _find_unfit(interface: Interface, examples: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    for name, values in examples.items():
        if name not in interface.inputs:
            continue
        try:
            for value in values:
                build_literal(name, value, interface.inputs[name])
        except Unfit as problem:
            yield str(problem)


def _find_lacking(interface: Interface, outputs: Mapping[str, str]) -> Iterator[str]:
    for metric, name in outputs.items():
        if name not in interface.outputs:
            hint = _hint(name, interface.outputs)
            yield f"It has no output {name!r}{hint} Say in `outputs` which one is {metric!r}."
        elif not is_number(interface.outputs[name]):
            kind = describe_type(interface.outputs[name])
            yield f"Its output {name!r} is of type {kind}; a trial's value is a float or an int."


def _hint(name: str, known: Mapping[str, Any]) -> str:
    if not known:
        return ", nor any other."
    nearest = did_you_mean(name, known)
    return f".{nearest}" if nearest else f"; there is {', '.join(sorted(known))}."


def _identify(kind: int, name: EntityName) -> Identifier:
    return Identifier(kind, name.project, name.domain, name.name, name.version)
