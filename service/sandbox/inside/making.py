"""Makes what a loaded file defines: a sampler, a pruner, and what ends the study."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler

from service.sandbox.inside.user_module import WrongFile, find_function, get_function

Function = Callable[..., Any]
Terminator = Callable[[optuna.Study], bool]

PARTS: Mapping[str, type] = {"sampler": BaseSampler, "pruner": BasePruner}
_LAUNCH_ROLES = ("objective", *PARTS, "study")
_TAKES = {"objective": ("trial",), "search_space": ("trial",), "optimizer": ("sweep",)}

_RETURNS = "It has to return an optuna.Study or a pair of a Study and a terminator"


@dataclass(frozen=True, slots=True)
class SweepInfo:
    """What `optimizer(sweep)` gets; the same attributes as W&B's class of this name."""

    id: str
    name: str
    entity: str
    project: str
    config: dict[str, Any]
    controller_run_name: str


@dataclass(frozen=True, slots=True)
class Made:
    """What functions of a file returned.

    Attributes:
        study: By `study()` or the optimizer; it has the sampler and the pruner then.
    """

    study: optuna.Study | None = None
    terminator: Terminator | None = None
    sampler: BaseSampler | None = None
    pruner: BasePruner | None = None


def find_functions(module: ModuleType, file: Mapping[str, Any]) -> dict[str, Function]:
    """Return the functions that count, by what they are for.

    Raises:
        WrongFile: One that was named is not there, one is no function, or there are none.
    """
    if file["search_space"] or file["optimizer"]:
        given = {role: name for role in ("search_space", "optimizer") if (name := file[role])}
        return {role: get_function(module, name, *_TAKES[role]) for role, name in given.items()}
    found = {role: _find_role(module, file[role], role) for role in _LAUNCH_ROLES}
    functions = {role: function for role, function in found.items() if function}
    if not functions:
        raise WrongFile("It defines none of objective(trial), sampler(), pruner() and study().")
    return functions


def make_parts(
    functions: Mapping[str, Function], file: Mapping[str, Any], sweep: Mapping[str, Any]
) -> Made:
    """Call those of the functions that make something, each once; raises whatever they raise.

    Args:
        sweep: Facts for an optimizer.

    Raises:
        WrongFile: One returns something else.
    """
    if "optimizer" in functions:
        return _call_optimizer(functions["optimizer"], file["optimizer"], sweep)
    if "study" in functions:
        study = functions["study"]()
        if not isinstance(study, optuna.Study):
            kind = type(study).__name__
            raise WrongFile(f"{file['study']}() returned a {kind}, not an optuna.Study.")
        return _take_apart(study)
    parts = {
        role: _check(functions[role](), base, f"{file[role]}()")
        for role, base in PARTS.items()
        if role in functions
    }
    return Made(**parts)


def _find_role(module: ModuleType, name: str, role: str) -> Function | None:
    # One that was named has to be there.
    find = find_function if name == role else get_function
    return find(module, name, *_TAKES.get(role, ()))


def _call_optimizer(function: Function, name: str, sweep: Mapping[str, Any]) -> Made:
    returned = function(SweepInfo(**sweep))
    study, terminator = returned, None
    if isinstance(returned, tuple):
        if len(returned) != 2:
            raise WrongFile(f"{name}(sweep) returned a tuple of {len(returned)}. {_RETURNS}.")
        study, terminator = returned
    if terminator is not None and not callable(terminator):
        kind = type(terminator).__name__
        raise WrongFile(f"The terminator of {name}(sweep) is a {kind}, not a function.")
    if not isinstance(study, optuna.Study):
        raise WrongFile(f"{name}(sweep) returned a {type(study).__name__}. {_RETURNS}.")
    return _take_apart(study, terminator)


def _take_apart(study: optuna.Study, terminator: Terminator | None = None) -> Made:
    return Made(
        study,
        terminator,
        sampler=_check(study.sampler, BaseSampler, "The study's sampler"),
        pruner=_check(study.pruner, BasePruner, "The study's pruner"),
    )


def _check(made: Any, base: type, what: str) -> Any:
    if isinstance(made, type) and issubclass(made, base):
        raise WrongFile(f"{what} returned the class {made.__name__}; call it: {made.__name__}().")
    if not isinstance(made, base):
        kind = type(made).__name__
        raise WrongFile(f"{what} returned a {kind}, not one of Optuna's {base.__name__} objects.")
    return made
