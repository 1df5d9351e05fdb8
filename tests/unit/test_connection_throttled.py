"""An outside system that answers, and says that it is asked too often."""

import asyncio
from pathlib import Path

import pytest

from service.schedulers.executors.base import Unanswered
from service.schedulers.executors.connection.connection import SystemAway, SystemThrottled
from service.schedulers.executors.connection.limits import Breaker
from service.schedulers.executors.wandb.runs.run_api import WandbApi
from tests.log_lines import open_log
from tests.unit.connection_stage import AWAY, LONG_ENOUGH, THROTTLED, Stage, ask, fail, wait_until


async def test_it_is_not_away_however_often_it_says_so(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", *[THROTTLED] * 8, "echo"])
    with open_log() as log:
        async with stage.open() as connection:
            for _ in range(8):
                with pytest.raises(SystemThrottled, match="HTTP 429: slow down") as raised:
                    await ask(connection)
                # wandb-core asks twice, and the first time it may have been done.
                assert isinstance(raised.value, Unanswered)
                assert not connection.is_away
            assert await ask(connection, a=1) == {"a": 1}
        events = [line["event"] for line in log.read_lines() if "system." in line["event"]]
    assert events == ["system.throttled"]


async def test_what_is_not_asked_meanwhile_says_why(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", *[THROTTLED] * 3, "echo"])
    async with stage.open() as connection:
        await fail(connection, 2)
        stage.chance = 1.0
        await fail(connection, 1)
        with pytest.raises(SystemThrottled) as raised:
            await ask(connection, seconds=10)
        assert not isinstance(raised.value, Unanswered)
        assert str(raised.value) == (
            "W&B at wandb.example takes no more calls for now; next try in 8 s. HTTP 429: slow down"
        )
        # It answers: uploads go on.
        assert await WandbApi(connection).is_reachable()
    assert len(stage.asked) == 3


async def test_one_that_was_away_is_back_with_it(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", *[AWAY] * 5, THROTTLED])
    with open_log() as log:
        async with stage.open() as connection:
            await fail(connection, 6)
            assert not connection.is_away
        events = [line["event"] for line in log.read_lines() if "system." in line["event"]]
    assert events == ["system.away", "system.back", "system.throttled"]


def test_its_pauses_double_up_to_a_quarter_of_a_minute() -> None:
    breaker = Breaker(clock=lambda: 0.0, chance=lambda: 1.0)
    pauses = []
    for _ in range(5):
        breaker.note_throttled()
        pauses.append(breaker.get_pause())
    assert pauses == pytest.approx([2, 4, 8, 15, 15])
    assert not breaker.is_open
    breaker.note_success(was_slow=False)
    breaker.note_throttled()
    assert breaker.get_pause() == pytest.approx(2)


async def test_the_end_of_its_process_is_no_news_once_it_was_told_to_end(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", *[AWAY] * 4, "answer late"])
    with open_log() as log:
        async with stage.open(farewell_seconds=0.0) as connection:
            await fail(connection, 4)
            asking = asyncio.create_task(ask(connection, seconds=LONG_ENOUGH))
            await wait_until(lambda: len(stage.asked) == 5)
            await connection.close()
            with pytest.raises(SystemAway, match="is gone"):
                await asking
        events = [line["event"] for line in log.read_lines()]
    assert "system.away" not in events
