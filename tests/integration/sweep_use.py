"""What tests of sweeps start from: a study with a launch, a worker, and what both have left."""

from typing import Any

import psycopg
from psycopg.rows import dict_row

from service.domain.attempts import (
    AttemptState,
    Ending,
    EndingKind,
    Instruction,
    Observation,
)
from service.domain.sweeps import LaunchSpec
from service.domain.workers import Worker
from service.engine.claim import ClaimedAttempt, claim
from service.engine.create import NewStudy
from service.engine.dispatch import WorkerClaim, claim_attempts
from service.engine.observe import observe
from tests.integration.engine_use import new_study
from tests.integration.timed_study import TimedStudy

LAUNCH = LaunchSpec("process", {"program": "train.py", "timeout_seconds": 5})
ADA = Worker("w-ada", "ada", "here")
BOB = Worker("w-bob", "bob", "there")


def new_sweep(name: str = "s", **changes: Any) -> NewStudy:
    return new_study(name, **({"launch": LAUNCH} | changes))


async def take(study: TimedStudy, count: int = 1, worker: Worker = ADA) -> list[ClaimedAttempt]:
    """Attempts of the study, in the worker's hands."""
    return await claim(study.actor, worker, count)


async def take_any(
    study: TimedStudy, count: int, worker: Worker = ADA, **given: Any
) -> list[ClaimedAttempt]:
    """Attempts of whatever study wants some."""
    command = WorkerClaim(worker, "default", ("process",), count, **given)
    return (await claim_attempts(study.engine, command)).attempts


async def see(
    study: TimedStudy,
    attempt: ClaimedAttempt,
    state: AttemptState = AttemptState.RUNNING,
    **given: Any,
) -> Instruction:
    """Says for a worker what it saw."""
    launch = attempt.launch
    seen = Observation(launch.attempt, launch.claim, state, **given)
    return await observe(study.actor, launch.number, seen)


async def see_exit(
    study: TimedStudy,
    attempt: ClaimedAttempt,
    exit_code: int = 0,
    values: dict[str, float] | None = None,
    **given: Any,
) -> Instruction:
    """Says that the program has ended."""
    ending = Ending(EndingKind.EXITED, exit_code, values=values)
    return await see(study, attempt, ending=ending, **given)


def rows(study: TimedStudy, query: str = "SELECT * FROM asktell.attempts") -> list[dict[str, Any]]:
    with psycopg.connect(study.database.conninfo, row_factory=dict_row) as connection:
        return connection.execute(query).fetchall()


def row(study: TimedStudy, attempt: int = 1) -> dict[str, Any]:
    (found,) = [each for each in rows(study) if each["attempt"] == attempt]
    return found


def wanted(study: TimedStudy) -> int:
    return study.count("SELECT wanted FROM asktell.studies")
