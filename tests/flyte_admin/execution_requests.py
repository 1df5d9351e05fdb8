"""Which requests for an execution admin accepts, and the inputs that come of them.

The rules are those of flyteadmin's execution_validator.go and validation.go.
"""

import re
from typing import Any

import grpc
from flyteidl.core.identifier_pb2 import Identifier, ResourceType
from flyteidl.core.interface_pb2 import ParameterMap
from flyteidl.core.literals_pb2 import LiteralMap

from tests.flyte_admin.literals import is_castable
from tests.flyte_admin.world import Refused, World, make_key

_NAME = re.compile(r"[a-z][a-z\-0-9]*")
_LONGEST_NAME = 63
_MOST_LABELS = 16
_LABEL_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_LABEL_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


def check(world: World, request: Any) -> None:
    """Everything but the inputs.

    Raises:
        Refused: INVALID_ARGUMENT.
    """
    if request.project not in world.projects or request.domain not in world.domains:
        raise _refuse(
            f"failed to validate that project [{request.project}] and domain "
            f"[{request.domain}] are registered"
        )
    _check_name(request.name)
    _check_labels(dict(request.spec.labels.values))
    if not all(make_key(request.spec.launch_plan)):
        raise _refuse("missing parts of the reference of what to execute")


def resolve_inputs(world: World, request: Any) -> LiteralMap:
    """The inputs of the task or launch plan, with defaults and fixed ones.

    Raises:
        Refused: NOT_FOUND if there is no such entity, else INVALID_ARGUMENT.
    """
    expected, fixed = _find_expected(world, request.spec.launch_plan)
    inputs = LiteralMap()
    inputs.CopyFrom(request.inputs)
    for name in inputs.literals:
        if name not in expected.parameters:
            raise _refuse(f"invalid input {name}")
    for name, parameter in expected.parameters.items():
        if name in inputs.literals:
            if not is_castable(inputs.literals[name], parameter.var.type):
                raise _refuse(f"invalid {name} input wrong type")
        elif parameter.required:
            raise _refuse(f"expected_inputs {name} missing")
        else:
            inputs.literals[name].CopyFrom(parameter.default)
    for name, literal in fixed.literals.items():
        inputs.literals[name].CopyFrom(literal)
    return inputs


def _find_expected(world: World, reference: Identifier) -> tuple[ParameterMap, LiteralMap]:
    if reference.resource_type == ResourceType.TASK:
        return _find_inputs_of_task(world, reference), LiteralMap()
    if reference.resource_type == ResourceType.LAUNCH_PLAN:
        plan = world.launch_plans.get(make_key(reference))
        if plan is None:
            raise _miss(reference)
        return plan.message.closure.expected_inputs, plan.message.spec.fixed_inputs
    raise _refuse(f"Invalid reference entity resource type [{reference.resource_type}]")


def _find_inputs_of_task(world: World, reference: Identifier) -> ParameterMap:
    """All are required: the defaults of a task are known to its client only."""
    template = world.find_task(reference)
    if template is None:
        raise _miss(reference)
    expected = ParameterMap()
    for name, variable in template.interface.inputs.variables.items():
        expected.parameters[name].var.CopyFrom(variable)
        expected.parameters[name].required = True
    return expected


def _check_name(name: str) -> None:
    if len(name) > _LONGEST_NAME:
        raise _refuse(f"size of name exceeded length {_LONGEST_NAME} : {name}")
    if name and not _NAME.fullmatch(name.lower()):
        raise _refuse(f"invalid name format: {name}")


def _check_labels(labels: dict[str, str]) -> None:
    if len(labels) > _MOST_LABELS:
        raise _refuse(f"labels map cannot exceed {_MOST_LABELS} entries")
    for key, value in labels.items():
        prefix, slash, name = key.rpartition("/")
        if not _LABEL_NAME.fullmatch(name) or (slash and not _LABEL_PREFIX.fullmatch(prefix)):
            raise _refuse(f"invalid label key [{key}]")
        if value and not _LABEL_NAME.fullmatch(value):
            raise _refuse(f"invalid label value [{value}]")


def _refuse(message: str) -> Refused:
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, message)


def _miss(reference: Identifier) -> Refused:
    return Refused(
        grpc.StatusCode.NOT_FOUND,
        f"missing entity of type {ResourceType.Name(reference.resource_type)} "
        f"with identifier {reference.name}",
    )
