"""Which study an optimizer works on: the caller's, a new one in memory, or one of a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import optuna
from optuna.study import StudyDirection

from asktell._client import Client
from asktell._optuna import direction_word
from asktell.flyte._server_trials import ServerTrials
from asktell.flyte._trials import StudyTrials, Trials


def open_trials(
    study: Any,
    *,
    server: str | Client | None,
    study_name: str | None,
    resume: bool,
    direction: str | Enum | None,
    directions: Sequence[str | Enum] | None,
    sampler: Any,
    pruner: Any,
) -> Trials:
    """The trials of that study; a server is first spoken to when the first trial is wanted.

    Raises:
        ValueError: The arguments contradict each other, or are not what they should be; the message
            says what to give instead.
    """
    if direction is not None and directions is not None:
        raise ValueError("Give direction or directions, not both.")
    words = [direction_word(word) for word in directions or [direction or "minimize"]]
    if study is not None:
        described = (study_name, direction, directions, sampler, pruner)
        if server is not None or any(part is not None for part in described):
            raise ValueError(
                "A study has its own name, directions, sampler and pruner, and no server: leave "
                "out either study or all of these."
            )
        if not isinstance(study, optuna.Study):
            raise ValueError(f"study must be an optuna.Study, not {study!r}.")
        return StudyTrials(study)
    if server is None:
        _check_object("sampler", sampler, optuna.samplers.BaseSampler, "samplers.TPESampler()")
        _check_object("pruner", pruner, optuna.pruners.BasePruner, "pruners.MedianPruner()")
        return StudyTrials(
            optuna.create_study(
                study_name=study_name,
                directions=[StudyDirection[word.upper()] for word in words],
                sampler=sampler,
                pruner=pruner,
            )
        )
    if not isinstance(server, str | Client):
        raise ValueError(
            'server must be an address such as "http://127.0.0.1:8700" or an asktell.Client, not '
            f"{server!r}."
        )
    _check_description("sampler", sampler)
    _check_description("pruner", pruner)
    if not study_name:
        raise ValueError("With server= the study needs a name: study_name=.")
    return ServerTrials(
        server, study_name, resume=resume, directions=words, sampler=sampler, pruner=pruner
    )


def _check_object(name: str, component: Any, kind: type, example: str) -> None:
    if component is not None and not isinstance(component, kind):
        raise ValueError(
            f"Without server= the {name} is an object of Optuna's, such as optuna.{example}, not "
            f"{component!r}."
        )


def _check_description(name: str, component: Any) -> None:
    if component is not None and not isinstance(component, Mapping):
        raise ValueError(
            f'With server= the {name} is described: {{"type": "…", "args": {{…}}}}, not '
            f"{component!r}."
        )
