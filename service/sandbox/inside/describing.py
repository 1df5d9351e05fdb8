"""Says what a file defines: its functions, and what its sampler, pruner and study are."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import optuna

from service.sandbox.inside.channel import Channel
from service.sandbox.inside.recording import NotSayable, to_document
from service.sandbox.inside.running import run_once
from service.sandbox.inside.trial import to_plain
from service.sandbox.inside.user_module import (
    WrongFile,
    find_function,
    get_function,
    load_module,
)

_KINDS = (("sampler", optuna.samplers.BaseSampler), ("pruner", optuna.pruners.BasePruner))
_ROLES = ("objective", *(role for role, _ in _KINDS), "study")
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


def describe_file(channel: Channel, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the message to the server that describes a file.

    A search space is run once, so that a mistake shows before the first trial.
    """
    file = request["file"]
    module = load_module(file)
    if file["search_space"] or file["optimizer"]:
        described = _describe_named(module, file, request["sweep"])
    else:
        described = _describe_launch_file(module, file)
    if described["has_search_space"]:
        run_once(module, channel, request)
    return {"op": "described", **described}


def _describe_named(
    module: ModuleType, file: Mapping[str, Any], sweep: Mapping[str, Any]
) -> dict[str, Any]:
    names = [name for name in (file["search_space"], file["optimizer"]) if name]
    described: dict[str, Any] = {"functions": names}
    described["has_search_space"] = bool(file["search_space"])
    if file["search_space"]:
        get_function(module, file["search_space"], "trial")
    if file["optimizer"]:
        described |= _call_optimizer(module, file["optimizer"], SweepInfo(**sweep))
    return described


def _call_optimizer(module: ModuleType, name: str, sweep: SweepInfo) -> dict[str, Any]:
    returned = get_function(module, name, "sweep")(sweep)
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
    return {**_describe_study(study), "has_terminator": terminator is not None}


def _describe_launch_file(module: ModuleType, file: Mapping[str, Any]) -> dict[str, Any]:
    found = {role: _find_role(module, file[role], role) for role in _ROLES}
    functions = [file[role] for role, function in found.items() if function]
    if not functions:
        raise WrongFile("It defines none of objective(trial), sampler(), pruner() and study().")
    described: dict[str, Any] = {
        "functions": functions,
        "has_search_space": found["objective"] is not None,
    }
    if found["study"]:
        return described | _use_study(file, found)
    for role, base in _KINDS:
        if function := found[role]:
            described[role] = _say(function(), base, f"{file[role]}()")
    return described


def _find_role(module: ModuleType, name: str, role: str) -> Any:
    args = ("trial",) if role == "objective" else ()
    find = find_function if name == role else get_function
    return find(module, name, *args)


def _use_study(file: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    study = found["study"]()
    name = f"{file['study']}()"
    if not isinstance(study, optuna.Study):
        raise WrongFile(f"{name} returned a {type(study).__name__}, not an optuna.Study.")
    described = _describe_study(study)
    for role, _ in _KINDS:
        if found[role]:
            note = f"{file[role]}() is not called: {name} says sampler and pruner."
            described["notes"].append(note)
    return described


def _describe_study(study: optuna.Study) -> dict[str, Any]:
    trials = study.get_trials(deepcopy=False)
    waiting = [trial for trial in trials if trial.state == optuna.trial.TrialState.WAITING]
    notes = []
    if len(trials) > len(waiting):
        notes.append(f"{len(trials) - len(waiting)} trials of the study are not taken over.")
    if study.user_attrs:
        notes.append("User attributes of the study are not taken over.")
    return {
        "sampler": _say(study.sampler, optuna.samplers.BaseSampler, "The study's sampler"),
        "pruner": _say(study.pruner, optuna.pruners.BasePruner, "The study's pruner"),
        "directions": [direction.name.lower() for direction in study.directions],
        "metric_names": list(study.metric_names or ()),
        "enqueued": [to_plain(trial.system_attrs.get("fixed_params", {})) for trial in waiting],
        "notes": notes,
    }


def _say(made: Any, base: type, what: str) -> dict[str, Any]:
    if isinstance(made, type) and issubclass(made, base):
        raise WrongFile(f"{what} returned the class {made.__name__}; call it: {made.__name__}().")
    if not isinstance(made, base):
        kind = type(made).__name__
        raise WrongFile(f"{what} returned a {kind}, not one of Optuna's {base.__name__} objects.")
    try:
        return to_document(made)
    except NotSayable as reason:
        return {"custom": str(reason), "type": type(made).__name__}
