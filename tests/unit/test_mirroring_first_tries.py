"""What a worker that has just begun does for mirrors before it takes attempts."""

import asyncio
from dataclasses import replace

import pytest

from service.schedulers.executors.mirrors import MirrorAway, MirrorBusy, MirrorRefused
from tests.unit.mirror_use import PACE, MirrorStage
from tests.unit.worker_use import until

ONE = "digits"
TWO = "letters"

pytestmark = pytest.mark.timeout(20)


@pytest.fixture
def stage() -> MirrorStage:
    return MirrorStage()


async def test_it_waits_until_what_is_to_be_made_is_made(stage: MirrorStage) -> None:
    sweep, other = stage.server.offer(ONE), stage.server.offer(TWO)
    gate = stage.outside.gates["id-of-letters"] = asyncio.Event()
    async with stage.mirroring():
        waiting = asyncio.create_task(stage.mirror_keeper.wait_for_first_tries())
        await until(lambda: sweep.external_ref is not None)
        await asyncio.sleep(0.01)
        assert not waiting.done()
        gate.set()
        await waiting
    assert other.external_ref is not None


async def test_an_earlier_refusal_is_not_the_word_of_this_worker(stage: MirrorStage) -> None:
    sweep = stage.server.offer(ONE)
    sweep.problem = "No API key configured."
    async with stage.mirroring():
        await stage.mirror_keeper.wait_for_first_tries()
        assert sweep.problem is None
        assert sweep.external_ref is not None


@pytest.mark.parametrize("error", [MirrorAway("HTTP 503"), MirrorRefused("No key."), KeyError("x")])
async def test_what_cannot_be_made_is_not_waited_for(stage: MirrorStage, error: Exception) -> None:
    sweep = stage.server.offer(ONE)
    stage.outside.error = error
    async with stage.mirroring():
        await stage.mirror_keeper.wait_for_first_tries()
        assert sweep.problem is not None


async def test_it_waits_no_longer_than_a_while(stage: MirrorStage) -> None:
    stage.server.offer(ONE)
    stage.outside.gates["id-of-digits"] = asyncio.Event()
    async with stage.mirroring(pace=replace(PACE, first_mirrors_seconds=0.02)):
        await stage.mirror_keeper.wait_for_first_tries()
    assert stage.outside.made == {"id-of-digits": 1}


async def test_nothing_is_waited_for_where_there_is_nothing_to_make(stage: MirrorStage) -> None:
    async with stage.mirroring():
        await stage.mirror_keeper.wait_for_first_tries()
    async with stage.mirroring(executors=()):
        await stage.mirror_keeper.wait_for_first_tries()
    stage.server.answer = {"mirrors": "none"}
    async with stage.mirroring():
        await stage.mirror_keeper.wait_for_first_tries()


async def test_a_system_that_is_only_busy_is_complained_of_after_a_while(
    stage: MirrorStage,
) -> None:
    sweep = stage.server.offer(ONE)
    stage.outside.error = MirrorBusy("HTTP 429")
    async with stage.mirroring():
        await until(lambda: stage.outside.made["id-of-digits"] > 3)
        assert sweep.problem is None
        stage.outside.error = None
        await until(lambda: sweep.external_ref is not None)
    assert all(each["problem"] is None for each in sweep.told)

    other = stage.server.offer(TWO)
    stage.outside.error = MirrorBusy("HTTP 429")
    async with stage.mirroring(pace=replace(PACE, busy_mirror_seconds=0.02)):
        await until(lambda: other.problem == "HTTP 429")
