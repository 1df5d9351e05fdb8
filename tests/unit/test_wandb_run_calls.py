"""Many who want the same of different runs share a call."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from service.schedulers.executors.connection.connection import SystemAway, SystemRefused
from service.schedulers.executors.wandb.runs.runs import RunPath
from tests.integration.process_bench import wait_until
from tests.memory_wandb import MemoryRun, MemoryWandb

PATHS = [RunPath("acme", "mnist", f"k3v9x2ab-{number}-1") for number in range(20)]
OTHER = RunPath("acme", "other", "k3v9x2ab-0-1")


class HeldWandb(MemoryWandb):
    """Answers once it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = asyncio.Event()
        self.runs = {path.external_ref: MemoryRun() for path in (*PATHS, OTHER)}

    async def call(
        self, operation: str, arguments: Mapping[str, Any], *, deadline_seconds: float
    ) -> Any:
        answer = await super().call(operation, arguments, deadline_seconds=deadline_seconds)
        await self.may_answer.wait()
        return answer


@pytest.fixture
def wandb() -> HeldWandb:
    return HeldWandb()


async def test_stops_at_the_same_time_are_one_call(wandb: HeldWandb) -> None:
    wandb.may_answer.set()
    api = wandb.api

    await asyncio.gather(*map(api.flag_stop, PATHS))

    assert all(wandb.runs[path.external_ref].is_stopped for path in PATHS)
    assert wandb.calls == ["flag_stops"]


async def test_who_comes_meanwhile_shares_the_next_call(wandb: HeldWandb) -> None:
    api = wandb.api
    asking = [asyncio.create_task(api.find_run(PATHS[0]))]
    await wait_until(lambda: bool(wandb.calls))
    asking += [asyncio.create_task(api.find_run(path)) for path in (*PATHS[1:], OTHER)]
    await asyncio.sleep(0)
    wandb.may_answer.set()

    views = await asyncio.gather(*asking)

    assert all(view is not None and view.state == "running" for view in views)
    assert wandb.calls == ["find_runs"] * 3


async def test_who_gives_up_does_not_end_it_for_others(wandb: HeldWandb) -> None:
    api = wandb.api
    impatient, patient = (asyncio.create_task(api.find_run(path)) for path in PATHS[:2])
    await wait_until(lambda: bool(wandb.calls))
    impatient.cancel()
    wandb.may_answer.set()

    assert await patient is not None
    assert impatient.cancelled()


async def test_one_that_is_not_there_is_refused_alone(wandb: HeldWandb) -> None:
    wandb.may_answer.set()
    del wandb.runs[PATHS[0].external_ref]
    api = wandb.api

    done = await asyncio.gather(*map(api.flag_stop, PATHS[:2]), return_exceptions=True)

    assert isinstance(done[0], SystemRefused)
    assert done[1] is None
    assert await api.find_run(PATHS[0]) is None


async def test_all_hear_that_wandb_is_away(wandb: HeldWandb) -> None:
    wandb.is_away = True
    api = wandb.api

    done = await asyncio.gather(*map(api.flag_stop, PATHS[:2]), return_exceptions=True)

    assert [type(each) for each in done] == [SystemAway, SystemAway]
    assert wandb.calls == ["flag_stops"]
