"""The loop that attends to studies which nobody calls."""

from collections.abc import Sequence

from service.domain.errors import StudyNotFound, StudyOwnedElsewhere
from service.domain.trials import AttemptPhase
from service.engine.actor import Actor
from service.engine.create import create_study
from service.engine.engine import open_engine
from service.engine.reaper import attend, patrol
from service.storage.database import Database
from tests.integration.engine_use import new_study
from tests.integration.timed_study import LEASE_SECONDS, TimedStudy


class Overdue:
    """Studies of which only some can be had; a defect, like another server, keeps one back."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.loaded: list[str] = []
        self.was_tidied = False

    def list_actors(self) -> list[Actor]:
        return []

    async def list_overdue(self) -> list[str]:
        return list(self.names)

    async def get_actor(self, name: str) -> Actor:
        if name == "elsewhere":
            raise StudyOwnedElsewhere("Another server has it.")
        if name == "defect":
            raise ZeroDivisionError
        self.loaded.append(name)
        raise StudyNotFound("It is gone by now.")

    async def put_idle_aside(self) -> None:
        self.was_tidied = True


async def test_a_study_that_cannot_be_had_does_not_keep_the_next_one_waiting() -> None:
    studies = Overdue(["elsewhere", "defect", "last"])
    await patrol(studies)
    assert studies.loaded == ["last"]


async def test_a_round_ends_with_tidying_up() -> None:
    studies = Overdue([])
    await attend(studies)
    assert studies.was_tidied


async def test_a_round_gives_up_what_is_overdue(study: TimedStudy) -> None:
    await study.create()
    await study.ask()
    study.move_clock(LEASE_SECONDS + 1)
    await attend(study.engine)
    assert (await study.view(0)).phase is AttemptPhase.QUEUED


async def test_a_patrol_loads_what_is_overdue_and_held_nowhere(
    study: TimedStudy, database: Database
) -> None:
    await study.create()
    await study.ask()
    await create_study(study.engine, new_study("quiet"))
    study.move_clock(LEASE_SECONDS + 1)
    assert await study.engine.list_overdue() == []
    async with open_engine(database, clock=lambda: study.now, reap_every_seconds=None) as other:
        assert await other.list_overdue() == ["s"]
        await patrol(other)
        assert other.count_actors() == 0
        await study.close()
        await patrol(other)
        assert [actor.spec.name for actor in other.list_actors()] == ["s"]


async def test_an_ask_need_not_wait_for_a_round(study: TimedStudy) -> None:
    await study.create(parallelism=1)
    await study.ask()
    study.move_clock(LEASE_SECONDS + 1)
    (again,) = await study.ask()
    assert (again.number, again.attempt) == (0, 2)
