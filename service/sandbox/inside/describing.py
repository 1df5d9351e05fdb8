"""Says what a file defines: its functions, and what its sampler, pruner and study are."""

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.trial import TrialState

from service.sandbox.inside.channel import Channel
from service.sandbox.inside.making import PARTS, Made, find_functions, make_parts
from service.sandbox.inside.recording import NotSayable, to_document
from service.sandbox.inside.running import keep_all, run_once
from service.sandbox.inside.user_module import WrongFile, load_module

_DECLARING = ("objective", "search_space")
_WAITING = TrialState.WAITING
_NO_CONSTRAINTS_FUNC = (
    "constraints_func is called when a trial has ended, which is too late here. Leave it out; set "
    "constraints with trial.set_constraint in the objective, or tell them with the result."
)


def describe_file(channel: Channel, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the message to the server that describes a file.

    A search space is run once, so that a mistake shows before the first trial; for the study that
    the file makes, if it makes one.
    """
    file = request["file"]
    module = load_module(file)
    functions = find_functions(module, file)
    made = make_parts(functions, file, request["sweep"])
    described = {
        "functions": [file[role] for role in functions],
        "has_search_space": not functions.keys().isdisjoint(_DECLARING),
        "has_terminator": made.terminator is not None,
        "notes": _list_notes(functions, file, made),
        **_describe_parts(made),
        **({} if made.study is None else _describe_study(made.study)),
    }
    if described["has_search_space"]:
        study = _merge(request["study"], described)
        described["run"] = run_once(module, channel, {**request, "study": study})
    return {"op": "described", **described}


def _merge(asked: Mapping[str, Any], made: Mapping[str, Any]) -> dict[str, Any]:
    """Return facts about the study that will be: one that the file makes, with what was asked."""
    facts = {key: made.get(key) or value for key, value in asked.items()}
    if len(facts["metric_names"]) != len(facts["directions"]):
        # The server says that the numbers differ.
        facts["metric_names"] = []
    return {**facts, "user_attrs": {**made.get("user_attrs", {}), **asked["user_attrs"]}}


def _list_notes(functions: Mapping[str, Any], file: Mapping[str, Any], made: Made) -> list[str]:
    if made.study is None:
        return []
    notes = [
        f"{file[role]}() is not called: {file['study']}() says sampler and pruner."
        for role in PARTS
        if role in functions
    ]
    finished = [t for t in made.study.get_trials(deepcopy=False) if t.state != _WAITING]
    if finished:
        notes.append(f"{len(finished)} trials of the study are not taken over.")
    return notes


def _describe_parts(made: Made) -> dict[str, Any]:
    parts = {role: getattr(made, role) for role in PARTS}
    return {role: _say(part) for role, part in parts.items() if part is not None}


def _describe_study(study: optuna.Study) -> dict[str, Any]:
    trials = study.get_trials(deepcopy=False, states=(_WAITING,))
    return {
        "directions": [direction.name.lower() for direction in study.directions],
        "metric_names": list(study.metric_names or ()),
        "user_attrs": keep_all("The study's user attribute ", study.user_attrs),
        "enqueued": [_describe_waiting(trial) for trial in trials],
    }


def _describe_waiting(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    params = trial.system_attrs.get("fixed_params", {})
    return {
        "params": keep_all("The value of an enqueued trial for ", params),
        "user_attrs": keep_all("User attribute of an enqueued trial: ", trial.user_attrs),
    }


def _say(made: Any) -> dict[str, Any]:
    try:
        return to_document(made)
    except NotSayable as reason:
        if getattr(made, "_constraints_func", None) is not None:
            raise WrongFile(_NO_CONSTRAINTS_FUNC) from reason
        return {"custom": str(reason), "type": type(made).__name__}
