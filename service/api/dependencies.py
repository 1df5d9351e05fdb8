"""What endpoints are given: the engine, and what their path and query name."""

from typing import Annotated

from fastapi import Depends, Header, Path, Query, Request

from service.api.fields import Text
from service.api.principals import refuse_stale_attempt
from service.domain.errors import StudyNotFound
from service.domain.limits import MAX_NAME_LENGTH
from service.engine.actor import Actor
from service.engine.engine import Engine
from service.storage.reads import StoredStudy

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000

StudyName = Annotated[
    str, Path(alias="study", description="Name of the study, percent-encoded", examples=["digits"])
]
TrialNumber = Annotated[
    int, Path(alias="number", ge=0, lt=2**31, description="Number of the trial", examples=[0])
]
PageSize = Annotated[
    int, Query(alias="limit", ge=1, le=MAX_PAGE_SIZE, description="Most entries in one page")
]
Cursor = Annotated[str | None, Query(max_length=4096, description="next_cursor of the page before")]
NamePart = Annotated[
    Text | None, Query(max_length=MAX_NAME_LENGTH, description="Part of the name, in any case")
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern="^[!-~]+$",
        description="Repeating a request with the same key and body gives the same answer again",
    ),
]


async def get_engine(request: Request) -> Engine:
    """The engine that this application was built with."""
    engine: Engine = request.app.state.engine
    return engine


async def get_actor(request: Request, name: StudyName) -> Actor:
    """The live study that the path names; raises StudyNotFound and the engine's Unavailable."""
    refuse_impossible_name(name)
    engine: Engine = request.app.state.engine
    actor = await engine.get_actor(name)
    await refuse_stale_attempt(engine, study_id=actor.study_id, actor=actor)
    return actor


async def get_stored_study(request: Request, name: StudyName) -> StoredStudy:
    """The study that the path names, as of the last commit; raises StudyNotFound."""
    refuse_impossible_name(name)
    engine: Engine = request.app.state.engine
    study = await get_committed_study(engine, name)
    await refuse_stale_attempt(engine, study_id=study.summary.study_id, actor=None)
    return study


async def get_committed_study(engine: Engine, name: str) -> StoredStudy:
    """The study of that name, as of the last commit; raises StudyNotFound."""
    study = await engine.reads.find_study(name)
    if study is None:
        raise _build_not_found(name)
    return study


def refuse_impossible_name(name: str) -> None:
    """Spare the database names that it could not even compare."""
    if "\0" in name or len(name) > MAX_NAME_LENGTH:
        raise _build_not_found(name)


def _build_not_found(name: str) -> StudyNotFound:
    return StudyNotFound(
        f"There is no study {name[:80]!r} here. Create it first; if plain Optuna made it, "
        "POST /studies/…/adopt takes it in."
    )


EngineDependency = Annotated[Engine, Depends(get_engine)]
ActorDependency = Annotated[Actor, Depends(get_actor)]
StudyDependency = Annotated[StoredStudy, Depends(get_stored_study)]
