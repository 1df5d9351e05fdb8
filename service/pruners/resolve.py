"""A pruner as users name it, checked and with its defaults written down."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NoReturn

from service.domain.arguments import (
    MAX_DEPTH,
    ArgumentRules,
    check_arguments,
    did_you_mean,
    list_defaults,
    make_printable,
    parse_component,
)
from service.domain.errors import FieldError, InvalidPruner
from service.domain.studies import Component
from service.pruners.build import build_pruner
from service.pruners.kinds import KINDS, Kind


def resolve_pruner(component: Component, *, n_objectives: int) -> Component:
    """Return the pruner to be stored: checked, with its defaults written down.

    "auto" resources stay "auto" until trials have completed (see `resolve_auto`). Resolving what
    is already resolved changes nothing.

    Raises:
        InvalidPruner: Unknown class or argument, a value that Optuna would not accept (in its
            own words), or several objectives: Optuna prunes by one value only.
    """
    if n_objectives > 1 and component.type in KINDS and component.type != "NopPruner":
        _refuse("pruner", "A study with several objectives cannot prune; leave the pruner out.")
    return _resolve(component, "pruner")


def _resolve(component: Component, path: str) -> Component:
    kind = KINDS.get(component.type)
    if kind is None or kind.is_users:
        names = [name for name, found in KINDS.items() if not found.is_users]
        nearest, known = did_you_mean(component.type, names), ", ".join(names)
        message = f'There is no pruner "{component.type:.80}".{nearest} Use one of {known}.'
        _refuse(f"{path}.type", message)
    component = replace(component, args=_fill_in(component, kind))
    _check_args(component, kind, path)
    component = replace(component, args=_resolve_inner(component.args, kind, path))
    try:
        build_pruner(component)
    except (ValueError, TypeError) as error:
        _refuse(f"{path}.args", str(error))
    return component


def _fill_in(component: Component, kind: Kind) -> dict[str, Any]:
    args = {name: value for name, value in component.args.items() if value is not None}
    if kind.inner is not None:
        args[kind.inner] = component.args.get(kind.inner)
    return {**list_defaults(kind.constructor), **args}


def _check_args(component: Component, kind: Kind, path: str) -> None:
    rules = ArgumentRules(limits=kind.limits, checked_elsewhere={kind.inner or ""})
    errors = check_arguments(kind.constructor, component.args, rules)
    if errors:
        _refuse_all([FieldError(f"{path}.args.{e.field}", e.message) for e in errors])
    if component.type == "HyperbandPruner":
        lowest, highest = component.args["min_resource"], component.args["max_resource"]
        if isinstance(highest, int) and highest < lowest:
            message = f"This must be at least min_resource, {lowest}; no trial would be pruned."
            _refuse(f"{path}.args.max_resource", message)


def _resolve_inner(args: Mapping[str, Any], kind: Kind, path: str) -> Mapping[str, Any]:
    document = args.get(kind.inner) if kind.inner else None
    if kind.inner is None or document is None:
        return args
    inner_path = f"{path}.args.{kind.inner}"
    if inner_path.count(".args.") > MAX_DEPTH:
        _refuse(inner_path, f"Pruners may be nested at most {MAX_DEPTH} deep.")
    inner = parse_component(document)
    if isinstance(inner, str):
        _refuse(inner_path, inner)
    resolved = _resolve(inner, inner_path)
    return {**args, kind.inner: {"type": resolved.type, "args": dict(resolved.args)}}


def _refuse(field: str, message: str) -> NoReturn:
    _refuse_all([FieldError(field, message)])


def _refuse_all(errors: list[FieldError]) -> NoReturn:
    printable = make_printable(errors)
    raise InvalidPruner(f"{printable[0].field}: {printable[0].message}", errors=printable)
