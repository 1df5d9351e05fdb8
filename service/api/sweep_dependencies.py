"""What endpoints about sweeps and attempts are given: what their path names."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Path, Request

from service.api.dependencies import (
    EngineDependency,
    StudyName,
    get_actor,
    get_committed_study,
    refuse_impossible_name,
)
from service.domain.attempts import parse_attempt_id
from service.domain.errors import AttemptNotFound, StudyNotFound, SweepNotFound
from service.engine.actor import Actor
from service.engine.engine import Engine
from service.storage.attempts import AttemptTable
from service.storage.reads import StoredStudy
from service.storage.sweeps import SweepSummary

AttemptId = Annotated[
    str, Path(alias="attempt_id", description="Id of the attempt", examples=["k3v9x2ab-12-1"])
]


@dataclass(frozen=True, slots=True)
class StoredSweep:
    """A sweep as of the last commit."""

    study: StoredStudy
    summary: SweepSummary


@dataclass(frozen=True, slots=True)
class AttemptAddress:
    """What the id of an attempt says."""

    sweep_id: str
    number: int
    attempt: int


@dataclass(frozen=True, slots=True)
class AttemptTarget:
    """An attempt that a worker has something to say of."""

    actor: Actor
    address: AttemptAddress
    attempts: AttemptTable


async def get_sweep_actor(request: Request, name: StudyName) -> Actor:
    """The live study that the path names; raises SweepNotFound unless it is a sweep."""
    try:
        actor = await get_actor(request, name)
    except StudyNotFound:
        raise _build_not_found(name) from None
    if actor.sweep is None:
        raise _build_not_found(name)
    return actor


async def get_stored_sweep(engine: EngineDependency, name: StudyName) -> StoredSweep:
    """The sweep that the path names, as of the last commit; raises SweepNotFound."""
    return await get_committed_sweep(engine, name)


async def get_committed_sweep(engine: Engine, name: str) -> StoredSweep:
    """The sweep of that name, as of the last commit; raises SweepNotFound."""
    try:
        refuse_impossible_name(name)
        study = await get_committed_study(engine, name)
    except StudyNotFound:
        raise _build_not_found(name) from None
    # Read after the study: what is newer than its revision is only shown once more with the next.
    summary = await engine.sweeps.find_sweep(study)
    if summary is None:
        raise _build_not_found(name)
    return StoredSweep(study, summary)


async def get_attempt_address(attempt_id: AttemptId) -> AttemptAddress:
    """What the path says; raises AttemptNotFound if no attempt can have that id."""
    parts = parse_attempt_id(attempt_id)
    if parts is None or max(parts[1:]) >= 2**31:
        raise AttemptNotFound(
            f"{attempt_id[:80]!r} is no attempt's id; they look like k3v9x2ab-12-1."
        )
    return AttemptAddress(*parts)


async def get_attempt_target(request: Request, attempt_id: AttemptId) -> AttemptTarget:
    """The attempt that the path names, and its live study; raises the engine's Unavailable."""
    engine: Engine = request.app.state.engine
    address = await get_attempt_address(attempt_id)
    actor = await engine.get_sweep_actor(address.sweep_id)
    return AttemptTarget(actor, address, engine.attempts)


def _build_not_found(name: str) -> SweepNotFound:
    return SweepNotFound(
        f"There is no sweep {name[:80]!r} here: no study of that name, or one whose trials nobody "
        "launches. Create it first."
    )


SweepActorDependency = Annotated[Actor, Depends(get_sweep_actor)]
SweepDependency = Annotated[StoredSweep, Depends(get_stored_sweep)]
AttemptAddressDependency = Annotated[AttemptAddress, Depends(get_attempt_address)]
AttemptTargetDependency = Annotated[AttemptTarget, Depends(get_attempt_target)]
