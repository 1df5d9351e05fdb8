"""The connection with an outside system: what is asked, and what its answers mean."""

import asyncio
import math
from pathlib import Path

import pytest

from service.schedulers.executors.connection.connection import (
    SystemAway,
    SystemRefused,
    SystemSilent,
)
from service.schedulers.executors.wandb.runs.run_api import Account, WandbApi
from tests.unit.connection_stage import (
    A_MOMENT,
    AWAY_LATE,
    KEY,
    PASSWORD,
    REFUSED,
    Stage,
    ask,
    wait_until,
)


async def test_one_process_does_what_it_is_asked(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", "echo", "echo", "answer"])
    async with stage.open() as connection:
        arguments = {"keys": ["ä", "\n"], "nothing": None, "rows": [math.inf, -math.inf]}
        assert await ask(connection, **arguments) == arguments
        assert math.isnan((await ask(connection, value=math.nan))["value"])
    assert [each["operation"] for each in stage.asked] == ["look", "look"]


async def test_it_does_one_thing_at_a_time(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", "answer late", "echo"])
    async with stage.open() as connection:
        first = asyncio.create_task(ask(connection))
        second = asyncio.create_task(ask(connection, number=2))
        await wait_until(lambda: len(stage.asked) == 1)
        third = ask(connection, seconds=A_MOMENT)
        with pytest.raises(SystemAway, match=r"this one waited 0\.2 s"):
            await third
        assert len(stage.asked) == 1
        await stage.let_answer()
        await first
        assert await second == {"number": 2}
    assert not connection.is_away


async def test_a_refusal_is_an_answer(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", *[REFUSED] * 6, "echo"])
    async with stage.open() as connection:
        for _ in range(6):
            with pytest.raises(SystemRefused, match=r"^There is no such run\.$"):
                await ask(connection)
        assert not connection.is_away
        assert await ask(connection, a=1) == {"a": 1}


async def test_all_who_want_to_know_the_account_share_one_question(tmp_path: Path) -> None:
    account = {"entity": "acme"}
    stage = Stage(tmp_path, ["start", ["answer late", {"value": account}]])
    async with stage.open() as connection:
        api = WandbApi(connection)
        asking = [asyncio.create_task(api.find_account()) for _ in range(48)]
        await wait_until(lambda: len(stage.asked) == 1)
        asking[0].cancel()
        reaching = asyncio.create_task(api.is_reachable())
        await asyncio.sleep(0)
        await stage.let_answer()
        accounts = await asyncio.gather(*asking[1:])
        assert await reaching
    assert set(accounts) == {Account(**account)}
    assert len(stage.asked) == 1


async def test_an_answer_that_comes_late_is_for_nobody(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", "answer", "answer late", "echo", "answer"])
    async with stage.open() as connection:
        process = await ask(connection)
        with pytest.raises(SystemAway):
            await ask(connection, seconds=A_MOMENT)
        await stage.let_answer()
        assert await ask(connection, a=1) == {"a": 1}
        assert await ask(connection) == process


async def test_who_stops_waiting_leaves_the_process_to_the_others(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", "answer late", "echo"])
    async with stage.open() as connection:
        asking = asyncio.create_task(ask(connection))
        await wait_until(lambda: len(stage.asked) == 1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await stage.let_answer()
        assert await ask(connection, a=1) == {"a": 1}


async def test_what_nobody_waits_for_any_more_says_as_much_of_wandb(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", *[AWAY_LATE] * 5])
    async with stage.open() as connection:
        for asked in range(5):
            asking = asyncio.create_task(ask(connection))
            await wait_until(lambda count=asked: len(stage.asked) == count + 1)
            asking.cancel()
            await asyncio.wait([asking])
            await stage.let_answer()
        await wait_until(lambda: connection.is_away)


async def test_what_is_not_done_though_wandb_answers_is_no_absence(tmp_path: Path) -> None:
    undone = ["answer", {"kind": "undone", "value": "HTTP 503"}]
    stage = Stage(tmp_path, ["start", *[undone] * 6])
    async with stage.open() as connection:
        for _ in range(6):
            with pytest.raises(SystemSilent, match=r"^HTTP 503$"):
                await ask(connection)
        assert not connection.is_away


@pytest.mark.parametrize("secret", [KEY, PASSWORD, "hunter@2"])
async def test_no_secret_is_in_any_message(tmp_path: Path, secret: str) -> None:
    said = [["answer", {"kind": kind, "value": secret}] for kind in ("refused", "away")]
    stage = Stage(tmp_path, ["start", *said])
    async with stage.open() as connection:
        for kind in (SystemRefused, SystemAway):
            with pytest.raises(kind, match="…") as raised:
                await ask(connection)
            assert secret not in str(raised.value)
    for life in (["die saying", secret], ["refuse", secret]):
        stage.add_life([life])
        async with stage.open() as connection:
            with pytest.raises((SystemRefused, SystemAway), match="…") as raised:
                await ask(connection)
            assert secret not in f"{raised.value} {raised.value.__cause__}"


async def test_a_refusal_says_whether_it_is_about_the_key(tmp_path: Path) -> None:
    of_key = ["answer", {"kind": "refused", "value": "Log in.", "is_about_key": True}]
    stage = Stage(tmp_path, ["start", REFUSED, of_key])
    async with stage.open() as connection:
        for is_about_key in (False, True):
            with pytest.raises(SystemRefused) as refusal:
                await ask(connection)
            assert refusal.value.is_about_key is is_about_key
