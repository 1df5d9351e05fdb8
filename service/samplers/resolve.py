"""A sampler as users name it, checked and with everything left open written down."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any, NoReturn

from optuna.distributions import BaseDistribution
from optuna.samplers import nsgaii

from service.domain.arguments import (
    MAX_DEPTH,
    ArgumentRules,
    check_arguments,
    did_you_mean,
    list_defaults,
    make_printable,
    parse_component,
)
from service.domain.errors import FieldError, InvalidSampler, SamplerUnavailable
from service.domain.studies import Component
from service.samplers.argument_values import list_value_problems
from service.samplers.construct import build_operator, construct_once
from service.samplers.grids import list_values
from service.samplers.kinds import KINDS, Kind, find_inner, is_finite, needs_process
from service.samplers.suggestible import (
    list_endless,
    list_undeclared,
    list_unnameable,
    list_unsuggestible,
)
from service.search_space import SearchSpace

_NO_FUNCTIONS = "This argument takes a Python function, which cannot be given here; leave it out."
_REFUSED = {
    "seed": "Set the study's seed instead; the sampler is seeded from it.",
    "constraints_func": _NO_FUNCTIONS,
    "gamma": _NO_FUNCTIONS,
    "weights": _NO_FUNCTIONS,
    "elite_population_selection_strategy": _NO_FUNCTIONS,
    "child_generation_strategy": _NO_FUNCTIONS,
    "after_trial_strategy": _NO_FUNCTIONS,
    "x0": "Optuna deprecates x0; to start from a point, fix it as params of the first ask.",
    "source_trials": "Trials of another study cannot be given here; leave it out.",
}
# They change what Optuna logs and nothing else; the service logs for itself.
_NOT_STORED = frozenset({"seed", "warn_independent_sampling", "warn_asynchronous_seeding"})
# Without effect in Optuna 5 and about to be removed; written down it would outlive its meaning.
_NOT_DEFAULTED = frozenset({"inc_popsize"})


@dataclass(frozen=True, slots=True)
class _Context:
    """Where a component stands: its study, and what samplers around it have settled."""

    space: SearchSpace | None
    n_objectives: int
    path: str = "sampler"
    fixed: frozenset[str] = frozenset()

    def refuse(self, where: str, message: str) -> NoReturn:
        _refuse([FieldError(f"{self.path}.{where}", message)])


def is_available(name: str) -> bool:
    """Tell whether there is what a sampler of that name imports; nothing is imported."""
    package = KINDS[name].package
    return package is None or find_spec(package) is not None


def default_sampler(n_objectives: int) -> Component:
    """Return Optuna's default, TPE, with all its arguments written down."""
    return resolve_sampler(Component("TPESampler"), space=None, n_objectives=n_objectives)


def resolve_sampler(
    component: Component, *, space: SearchSpace | None, n_objectives: int
) -> Component:
    """Return the sampler to be stored: checked, defaults and automatic choices written down.

    Resolving what is already resolved changes nothing.

    Raises:
        InvalidSampler: Unknown class or argument, a value that Optuna would not accept (in its
            own words), or a sampler that cannot serve this search space or these objectives.
        SamplerUnavailable: A class of Optuna's that this server cannot run.
    """
    resolved = _resolve(component, _Context(space, n_objectives))
    if space is not None:
        errors = list_undeclared(resolved, space, "sampler")
        errors += list_unnameable(resolved, space, "sampler")
        errors += list_unsuggestible(resolved, _list_open(space), "sampler")
        if errors:
            _refuse(errors)
    return resolved


def _resolve(component: Component, context: _Context) -> Component:
    kind = _find_kind(component.type, context)
    component = replace(component, args=_fill_in(component, kind, context))
    _check_args(component, kind, context)
    component = replace(component, args=_resolve_nested(component, kind, context))
    _check_nesting(component, context)
    if kind.package is not None:
        # Its constructor checks nothing that was not checked here, and imports what it needs.
        return component
    try:
        construct_once(_without_packages(component, kind))
    except (ValueError, TypeError) as error:
        context.refuse("args", str(error))
    return component


def _without_packages(component: Component, kind: Kind) -> Component:
    """The same with a light sampler inside, if the one there is heavy; that was checked before."""
    inner = find_inner(component)
    if inner is None or not needs_process(inner):
        return component
    args = {**component.args, str(kind.inner): {"type": "RandomSampler"}}
    return replace(component, args=args)


def _find_kind(name: str, context: _Context) -> Kind:
    kind = KINDS.get(name)
    if kind is None or kind.is_users:
        names = [known for known, found in KINDS.items() if not found.is_users]
        nearest, known = did_you_mean(name, names), ", ".join(names)
        context.refuse("type", f'There is no sampler "{name:.80}".{nearest} Use one of {known}.')
    if not is_available(name):
        message = (
            f"{name} needs {kind.package}, which is not installed here. Install "
            f"asktell-server[gp], or use TPESampler."
        )
        raise SamplerUnavailable(message, errors=[FieldError(f"{context.path}.type", message)])
    if kind.single_objective and context.n_objectives > 1:
        context.refuse("type", f"{name} handles one objective only; use TPESampler.")
    return kind


def _fill_in(component: Component, kind: Kind, context: _Context) -> dict[str, Any]:
    """Add defaults and automatic choices to the arguments; None means automatic everywhere."""
    defaults = {
        name: value
        for name, value in list_defaults(kind.constructor).items()
        if name not in _NOT_STORED | _NOT_DEFAULTED
    }
    given = {name: value for name, value in component.args.items() if value is not None}
    args = {**defaults, **given}
    match component.type:
        case "TPESampler":
            # As TPESampler decides when it samples.
            args.setdefault("multivariate", context.n_objectives == 1 or args["group"] is True)
        case "QMCSampler":
            # QMC would seed a default of its own making, which costs more than the draw.
            args.setdefault("independent_sampler", {"type": "RandomSampler"})
        case "GridSampler":
            args.setdefault("search_space", None)
            args["search_space"] = args["search_space"] or _derive_grid(context)
    return args


def _derive_grid(context: _Context) -> dict[str, list[Any]]:
    where = "args.search_space"
    if context.space is None:
        context.refuse(where, "Declare the study's search space, or give the grid's own here.")
    if context.space.is_conditional:
        context.refuse(
            where,
            "A grid would repeat itself where conditional parameters are unused; use "
            "BruteForceSampler, or give search_space.",
        )
    open_parameters = {
        name: found
        for name, found in _list_open(context.space).items()
        if name not in context.fixed
    }
    if errors := list_endless(open_parameters, f"{context.path}.{where}"):
        _refuse(errors)
    return {name: list_values(found) for name, found in open_parameters.items()}


def _check_args(component: Component, kind: Kind, context: _Context) -> None:
    elsewhere = {"search_space", "reference_points", *kind.operators, kind.inner or ""}
    rules = ArgumentRules(_REFUSED, kind.limits, elsewhere)
    errors = check_arguments(kind.constructor, component.args, rules)
    errors += list_value_problems(component.type, component.args, n_objectives=context.n_objectives)
    if errors:
        _refuse([FieldError(f"{context.path}.args.{e.field}", e.message) for e in errors])


def _resolve_nested(component: Component, kind: Kind, context: _Context) -> dict[str, Any]:
    args = {name: value for name, value in component.args.items() if name not in _NOT_STORED}
    if kind.inner is not None and kind.inner in args:
        path = f"{context.path}.args.{kind.inner}"
        fixed = context.fixed | frozenset(args.get("fixed_params", ()))
        if path.count(".args.") > MAX_DEPTH:
            context.refuse("args", f"Samplers may be nested at most {MAX_DEPTH} deep.")
        deeper = replace(context, path=path, fixed=fixed)
        inner = _resolve(_parse_nested(args[kind.inner], path), deeper)
        args[kind.inner] = {"type": inner.type, "args": dict(inner.args)}
    for name in kind.operators.keys() & args.keys():
        path = f"{context.path}.args.{name}"
        args[name] = _resolve_operator(args[name], kind, name, replace(context, path=path))
    return args


def _check_nesting(component: Component, context: _Context) -> None:
    inner = find_inner(component)
    if component.type == "PartialFixedSampler" and inner and inner.type == "BruteForceSampler":
        # It counts the values that are fixed away as still to come, and repeats others instead.
        context.refuse(
            "args.base_sampler",
            "BruteForceSampler does not know what is fixed; declare a constant instead.",
        )
    if component.type == "GPSampler" and inner and is_finite(inner):
        context.refuse(
            "args.independent_sampler",
            f"{inner.type} would draw a few parameters of a point alone; use RandomSampler.",
        )
    if component.type == "ImputingSampler" and inner and not KINDS[inner.type].learns_values:
        learners = ", ".join(name for name, kind in KINDS.items() if kind.learns_values)
        message = f"This must be one of {learners}, not {inner.type}."
        context.refuse("args.base_sampler", message)


def _parse_nested(document: Any, path: str) -> Component:
    component = parse_component(document)
    if isinstance(component, str):
        _refuse([FieldError(path, component)])
    return component


def _resolve_operator(
    document: Any, kind: Kind, argument: str, context: _Context
) -> Mapping[str, Any]:
    component = _parse_nested(document, context.path)
    known = _list_operators(kind.operators[argument])
    constructor = known.get(component.type)
    if constructor is None:
        nearest, names = did_you_mean(component.type, known), ", ".join(known)
        message = f'There is no {argument} "{component.type:.80}".{nearest} Use one of {names}.'
        context.refuse("type", message)
    if errors := check_arguments(constructor, component.args, ArgumentRules()):
        _refuse([FieldError(f"{context.path}.args.{e.field}", e.message) for e in errors])
    resolved = {
        "type": component.type,
        "args": {**list_defaults(constructor), **component.args},
    }
    try:
        build_operator(resolved)
    except ValueError as error:
        context.refuse("args", str(error))
    return resolved


def _list_operators(base: type[Any]) -> dict[str, type[Any]]:
    classes = {name: getattr(nsgaii, name) for name in nsgaii.__all__}
    return {
        name: found
        for name, found in classes.items()
        if issubclass(found, base) and found is not base
    }


def _list_open(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Return the parameters a sampler is asked about: those with more than one value."""
    return {name: found for name, found in space.distributions.items() if not found.single()}


def _refuse(errors: list[FieldError]) -> NoReturn:
    printable = make_printable(errors)
    raise InvalidSampler(f"{printable[0].field}: {printable[0].message}", errors=printable)
