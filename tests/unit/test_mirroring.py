"""Sweeps outside are made for ours, and follow them, and are followed."""

import asyncio
from typing import Any

import pytest
import structlog

from service.domain.mirrors import MirrorState
from service.domain.sweeps import SweepState
from service.schedulers.executors.mirrors import MirrorAway, MirrorRefused
from tests.unit.mirror_use import EXECUTOR, MirrorStage, OfferedSweep, build_ref
from tests.unit.worker_use import until

ONE = "digits"
TWO = "letters"

pytestmark = pytest.mark.timeout(20)


@pytest.fixture
def stage() -> MirrorStage:
    return MirrorStage()


async def agrees(sweep: OfferedSweep, state: MirrorState) -> None:
    await until(lambda: sweep.agreed is state)


async def has_looked_again(stage: MirrorStage, times: int = 3) -> None:
    count = len(stage.outside.looks)
    await until(lambda: len(stage.outside.looks) >= count + times)


async def test_a_sweep_is_made_outside_once_and_told(stage: MirrorStage) -> None:
    sweep = stage.server.offer(ONE)
    async with stage.mirroring():
        await agrees(sweep, MirrorState.RUNNING)
        await has_looked_again(stage)
    assert sweep.external_ref == build_ref(ONE)
    assert sweep.url == f"https://wandb.example/{build_ref(ONE)}"
    assert stage.outside.made == {"id-of-digits": 1}
    assert stage.outside.changes == []
    # Only for what can have one.
    assert stage.server.claims[0] == {"worker_id": "w1", "queue": "gpu", "executors": [EXECUTOR]}


async def test_one_that_exists_is_not_made_again(stage: MirrorStage) -> None:
    sweep = stage.server.offer(ONE)
    sweep.external_ref = build_ref(ONE)
    stage.outside.states[build_ref(ONE)] = MirrorState.RUNNING
    async with stage.mirroring():
        await agrees(sweep, MirrorState.RUNNING)
    assert not stage.outside.made


async def test_ours_is_followed_outside_to_its_end(stage: MirrorStage) -> None:
    sweep = stage.server.offer(ONE)
    async with stage.mirroring():
        for ours, theirs in (
            (SweepState.PAUSED, MirrorState.PAUSED),
            (SweepState.ACTIVE, MirrorState.RUNNING),
            (SweepState.FINISHED, MirrorState.FINISHED),
        ):
            await until(lambda: sweep.agreed is not None)
            sweep.state = ours
            await agrees(sweep, theirs)
            assert stage.outside.states[build_ref(ONE)] is theirs
        # There is nothing more to be done for it.
        count = len(stage.server.claims)
        await until(lambda: len(stage.server.claims) > count + 2)
        looks = len(stage.outside.looks)
        await until(lambda: len(stage.server.claims) > count + 4)
        assert len(stage.outside.looks) <= looks + 1
    # What was set is told without another look.
    assert len(sweep.told) >= len(stage.outside.looks) + len(stage.outside.changes)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (MirrorState.PAUSED, SweepState.PAUSED),
        (MirrorState.FINISHED, SweepState.STOPPING),
        (MirrorState.CANCELLED, SweepState.CANCELLED),
    ],
)
async def test_theirs_is_followed_here(
    stage: MirrorStage, theirs: MirrorState, ours: SweepState
) -> None:
    sweep = stage.server.offer(ONE)
    async with stage.mirroring():
        await agrees(sweep, MirrorState.RUNNING)
        stage.outside.states[build_ref(ONE)] = theirs
        await agrees(sweep, theirs)
    assert sweep.state is ours
    assert stage.outside.changes == []


async def test_one_that_people_delete_stops_ours(stage: MirrorStage) -> None:
    sweep = stage.server.offer(ONE)
    async with stage.mirroring():
        await agrees(sweep, MirrorState.RUNNING)
        del stage.outside.states[build_ref(ONE)]
        await until(lambda: sweep.state is SweepState.STOPPING)
        assert sweep.problem is not None
        assert "acme/vision/digits was deleted" in sweep.problem
        assert "`asktell sweep resume digits`" in sweep.problem
        # Resumed, it gets another one.
        sweep.state = SweepState.ACTIVE
        await agrees(sweep, MirrorState.RUNNING)
    assert stage.outside.made == {"id-of-digits": 2}


async def test_one_that_is_not_found_once_is_not_deleted(stage: MirrorStage) -> None:
    sweep = stage.server.offer(ONE)
    ref = build_ref(ONE)
    async with stage.mirroring():
        for _ in range(3):
            await agrees(sweep, MirrorState.RUNNING)
            count = len(stage.outside.looks)
            state = stage.outside.states.pop(ref)
            await until(lambda count=count: len(stage.outside.looks) > count)
            stage.outside.states[ref] = state
            told = len(sweep.told)
            await until(lambda told=told: len(sweep.told) > told)
    assert sweep.state is SweepState.ACTIVE
    assert {seen["seen"] for seen in sweep.told} == {"running"}


@pytest.mark.parametrize("error", [MirrorAway("W&B is away."), MirrorRefused("Wrong key.")])
async def test_why_one_cannot_be_made_is_told_once(stage: MirrorStage, error: Exception) -> None:
    stage.outside.error = error
    sweep = stage.server.offer(ONE)
    async with stage.mirroring():
        await until(lambda: stage.outside.made["id-of-digits"] > 3)
        assert [seen["problem"] for seen in sweep.told] == [str(error)]
        stage.outside.error = None
        await agrees(sweep, MirrorState.RUNNING)
    assert sweep.problem is None


async def test_why_one_cannot_be_seen_is_told_once(stage: MirrorStage) -> None:
    sweep = stage.server.offer(ONE)
    async with stage.mirroring():
        await agrees(sweep, MirrorState.RUNNING)
        stage.outside.error = MirrorAway("W&B is away.")
        await until(lambda: sweep.problem == "W&B is away.")
        count = len(sweep.told)
        await has_looked_again(stage)
        assert len(sweep.told) == count
        stage.outside.error = None
        sweep.state = SweepState.PAUSED
        await agrees(sweep, MirrorState.PAUSED)
    assert sweep.problem is None


async def test_one_that_is_hidden_hides_no_other(stage: MirrorStage) -> None:
    one, two = stage.server.offer(ONE), stage.server.offer(TWO)
    async with stage.mirroring():
        stage.outside.hidden[build_ref(ONE)] = MirrorRefused("No such project.")
        await until(lambda: one.problem == "No such project.")
        two.state = SweepState.PAUSED
        await agrees(two, MirrorState.PAUSED)
        await has_looked_again(stage)
    assert one.state is SweepState.ACTIVE
    assert [seen["problem"] for seen in one.told if seen["problem"]] == ["No such project."]


async def test_a_fault_of_ours_is_told_and_ends_nothing(stage: MirrorStage) -> None:
    stage.outside.error = KeyError("upsertSweep")
    sweep = stage.server.offer(ONE)
    with structlog.testing.capture_logs() as logs:
        async with stage.mirroring():
            await until(lambda: sweep.problem == "'upsertSweep'")
            stage.outside.error = None
            await agrees(sweep, MirrorState.RUNNING)
    assert [line["study"] for line in logs if "exc_info" in line] == [ONE]


async def test_one_that_takes_long_keeps_no_other_waiting(stage: MirrorStage) -> None:
    gate = stage.outside.gates["id-of-digits"] = asyncio.Event()
    one, two = stage.server.offer(ONE), stage.server.offer(TWO)
    async with stage.mirroring():
        await agrees(two, MirrorState.RUNNING)
        assert one.agreed is None
        gate.set()
        await agrees(one, MirrorState.RUNNING)
        await has_looked_again(stage)
    assert stage.outside.made == {"id-of-digits": 1, "id-of-letters": 1}
    # All are looked at at once.
    assert stage.outside.looks[-1] == {build_ref(ONE), build_ref(TWO)}


async def test_what_was_told_without_an_answer_is_told_again(stage: MirrorStage) -> None:
    stage.server.lose(3)
    sweep = stage.server.offer(ONE)
    async with stage.mirroring():
        await until(lambda: len(sweep.told) > 3)
        await agrees(sweep, MirrorState.RUNNING)
    assert stage.outside.made == {"id-of-digits": 1}


async def test_a_server_that_is_away_finds_all_as_before(stage: MirrorStage) -> None:
    sweep = stage.server.offer(ONE)
    async with stage.mirroring():
        await has_looked_again(stage)
        stage.server.is_down = True
        await has_looked_again(stage)
        stage.outside.states[build_ref(ONE)] = MirrorState.PAUSED
        stage.server.is_down = False
        await agrees(sweep, MirrorState.PAUSED)
    assert sweep.state is SweepState.PAUSED


async def test_what_another_worker_keeps_is_left(stage: MirrorStage) -> None:
    gate = stage.outside.gates["id-of-letters"] = asyncio.Event()
    one, two = stage.server.offer(ONE), stage.server.offer(TWO)
    async with stage.mirroring():
        await agrees(one, MirrorState.RUNNING)
        await until(lambda: stage.outside.made["id-of-letters"] == 1)
        stage.server.withheld |= {ONE, TWO}
        count = len(stage.server.claims)
        await until(lambda: len(stage.server.claims) > count + 2)
        gate.set()
        looks = len(stage.outside.looks)
        await until(lambda: len(stage.server.claims) > count + 5)
        assert len(stage.outside.looks) <= looks + 1
        assert build_ref(TWO) not in stage.outside.states
        # The other one is gone.
        stage.server.withheld.clear()
        await agrees(two, MirrorState.RUNNING)


async def test_an_answer_that_makes_no_sense_ends_nothing(stage: MirrorStage) -> None:
    stage.server.answer = {"mirrors": [{"study": ONE}]}
    sweep = stage.server.offer(ONE)
    with structlog.testing.capture_logs() as logs:
        async with stage.mirroring():
            await until(lambda: any(line["event"] == "mirrors.unreadable" for line in logs))
            stage.server.answer = None
            await agrees(sweep, MirrorState.RUNNING)


@pytest.mark.parametrize("answer", [{"detail": "a proxy's"}, [], {"set": "asleep"}, {"set": 5}])
async def test_an_answer_to_what_is_told_that_makes_no_sense_ends_nothing(
    stage: MirrorStage, answer: Any
) -> None:
    stage.server.answer_to_told = answer
    sweep = stage.server.offer(ONE)
    async with stage.mirroring() as task:
        await until(lambda: len(sweep.told) > 3 or task.done())
        assert not task.done()
        stage.server.answer_to_told = None
        sweep.state = SweepState.PAUSED
        await agrees(sweep, MirrorState.PAUSED)
    assert stage.outside.made == {"id-of-digits": 1}


async def test_without_an_outside_system_there_is_nothing_to_do(stage: MirrorStage) -> None:
    async with stage.mirroring(executors=()) as task:
        await task
    assert stage.server.claims == []
