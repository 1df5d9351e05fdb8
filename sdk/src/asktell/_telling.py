"""Telling how trials ended, by the trial or by its number."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import TYPE_CHECKING, Any

from asktell import _protocol
from asktell._asked import AskedTrial
from asktell._records import FrozenTrial, read_trial

if TYPE_CHECKING:
    from asktell._exchange import Exchange
    from asktell._leases import Watch


def tell(
    leases: Watch,
    study: str,
    trial: AskedTrial | int,
    values: Any,
    state: str | Enum | None,
    **details: Any,
) -> Exchange[FrozenTrial]:
    """Ends a trial; see `Study.tell`."""
    number = _number_of(study, trial)
    outcome = _describe(trial, values, state, **details)
    yield from _deliver_reports(leases, study, trial)
    call = leases.server.call(_protocol.tell(study, number, outcome))
    document = yield from (trial._lease.listen(call) if isinstance(trial, AskedTrial) else call)
    return _note_told(leases, study, trial, document)


def tell_many(
    leases: Watch, study: str, tells: Iterable[tuple[Any, ...]]
) -> Exchange[list[FrozenTrial]]:
    """Ends many trials, all or none; see `Study.tell_many`."""
    parts = list(tells)
    if not parts:
        return []
    outcomes = [{"number": _number_of(study, part[0]), **_describe(*part)} for part in parts]
    for part in parts:
        yield from _deliver_reports(leases, study, part[0])
    answer = yield from leases.server.call(_protocol.tell_many(study, outcomes))
    return [
        _note_told(leases, study, part[0], document)
        for part, document in zip(parts, answer["trials"], strict=True)
    ]


def _describe(
    trial: AskedTrial | int, values: Any = None, state: str | Enum | None = None, **details: Any
) -> dict[str, Any]:
    if isinstance(trial, AskedTrial):
        return trial._describe_outcome(state, values, **details)
    return _protocol.describe_outcome(state, values, **details)


def _deliver_reports(leases: Watch, study: str, trial: AskedTrial | int) -> Exchange[None]:
    if isinstance(trial, AskedTrial):
        return trial._lease.deliver_last(leases.server.call)
    return leases.deliver_last(_protocol.heartbeat(study, trial))


def _note_told(leases: Watch, study: str, trial: AskedTrial | int, document: Any) -> FrozenTrial:
    if isinstance(trial, AskedTrial):
        return trial._note_told(document)
    leases.forget_trial(_protocol.heartbeat(study, trial))
    return read_trial(document)


def _number_of(study: str, trial: AskedTrial | int) -> int:
    if not isinstance(trial, AskedTrial):
        return trial
    if trial._study_name != study:
        raise ValueError(
            f"Trial {trial.number} is one of study {trial._study_name!r}, not of {study!r}."
        )
    return trial.number
