"""How often a connection asks an outside system, and what becomes of calls that come too soon."""

import asyncio
from pathlib import Path

import pytest

from service.schedulers.executors.connection.connection import SystemAway, SystemBusy
from service.schedulers.executors.wandb.runs.run_api import WandbApi
from tests.log_lines import open_log
from tests.unit.connection_stage import (
    A_MOMENT,
    AWAY,
    AWAY_LATE,
    LONG_ENOUGH,
    Stage,
    ask,
    fail,
    wait_until,
)

SLOW = ["answer", {"seconds": 2.5}]


async def test_after_five_failures_calls_fail_at_once_but_for_one_a_pause(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", *[AWAY] * 6, "echo", "echo"])
    with open_log() as log:
        async with stage.open() as connection:
            await fail(connection, 4)
            stage.chance = 0.5
            await fail(connection, 1)
            assert connection.is_away
            with pytest.raises(SystemAway, match=r"has not answered since .*; next try in 16 s\."):
                await ask(connection)
            assert len(stage.asked) == 5
            stage.time.seconds += 16
            with pytest.raises(SystemAway, match=r"wandb\.example cannot be asked now: HTTP 503"):
                await ask(connection)
            with pytest.raises(SystemAway, match="next try in 30 s"):
                await ask(connection)
            stage.time.seconds += 30
            assert await ask(connection, a=1) == {"a": 1}
            assert not connection.is_away
            assert await ask(connection, a=2) == {"a": 2}
        events = [line["event"] for line in log.read_lines() if "system." in line["event"]]
    assert events == ["system.away", "system.back"]
    assert len(stage.asked) == 8


async def test_while_it_is_tried_again_the_others_fail_at_once(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", *[AWAY] * 5, "answer late"])
    async with stage.open() as connection:
        await fail(connection, 5)
        trying = asyncio.create_task(ask(connection))
        await wait_until(lambda: len(stage.asked) == 6)
        with pytest.raises(SystemAway, match="has not answered since"):
            await ask(connection)
        await stage.let_answer()
        await trying
        assert not connection.is_away


async def test_calls_that_wait_for_their_turn_fail_with_the_one_before_them(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", *[AWAY] * 4, AWAY_LATE])
    async with stage.open() as connection:
        await fail(connection, 4)
        stage.chance = 0.01
        calls = [asyncio.create_task(ask(connection)) for _ in range(3)]
        await wait_until(lambda: len(stage.asked) == 5)
        await stage.let_answer()
        for call in calls:
            with pytest.raises(SystemAway):
                await call
    assert stage.time.sleeps == []
    assert len(stage.asked) == 5


async def test_a_pause_is_part_of_the_time_of_a_call(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", AWAY, "be silent"])
    stage.chance = 0.05
    async with stage.open(late_seconds=A_MOMENT) as connection:
        await fail(connection, 1)
        with pytest.raises(SystemAway, match=r"did not answer within 0\.2 s\."):
            await ask(connection, seconds=A_MOMENT + 0.1)


async def test_after_a_failure_a_call_waits_if_it_has_the_time(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", AWAY, "echo"])
    stage.chance = 0.75
    async with stage.open() as connection:
        await fail(connection, 1)
        with pytest.raises(SystemAway, match=r"has not answered since .* next try in 2 s\. .*503"):
            await ask(connection, seconds=2)
        assert await ask(connection, a=1) == {"a": 1}
    assert stage.time.sleeps == [1.5]


async def test_after_a_burst_it_asks_twice_a_second(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", *["answer"] * 13])
    async with stage.open() as connection:
        for _ in range(13):
            await ask(connection)
    assert stage.time.sleeps == pytest.approx([0.5, 0.5, 0.5])


async def test_too_many_calls_say_nothing_about_wandb(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", *["answer"] * 10])
    async with stage.open(calls_per_second=0.1) as connection:
        for _ in range(10):
            await ask(connection)
        for _ in range(6):
            with pytest.raises(SystemBusy, match="is asked too often"):
                await ask(connection, seconds=10)
        assert not connection.is_away
        assert await WandbApi(connection).is_reachable()
    assert len(stage.asked) == 10


async def test_with_too_little_time_left_nothing_is_asked(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", "answer late"])
    async with stage.open() as connection:
        first = asyncio.create_task(ask(connection))
        await wait_until(lambda: len(stage.asked) == 1)
        calls = [asyncio.create_task(ask(connection)) for _ in range(6)]
        api = WandbApi(connection)
        reaching = asyncio.create_task(api.is_reachable(deadline_seconds=LONG_ENOUGH))
        for _ in range(10):
            await asyncio.sleep(0)
        stage.time.seconds += LONG_ENOUGH - 0.9
        await stage.let_answer()
        await first
        for call in calls:
            with pytest.raises(SystemBusy, match=r"Other calls .* took so long"):
                await call
        assert await reaching
        assert not connection.is_away
    assert len(stage.asked) == 1


async def test_after_a_slow_answer_it_leaves_wandb_alone_for_a_while(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", SLOW, "answer", "answer"])
    stage.chance = 0.5
    async with stage.open() as connection:
        for _ in range(3):
            await ask(connection)
    assert stage.time.sleeps == [1.0]
