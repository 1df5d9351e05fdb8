"""Looking at attempts: one look at all of them, for whoever waits."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

import pytest

from service.schedulers.executors.base import Launch, Sighting, Watch
from service.schedulers.executors.fake import FakeExecutor, FakeWorld
from service.schedulers.lookout import Lookout
from tests.unit.worker_use import QUICK, until

pytestmark = pytest.mark.timeout(20)


class WatchedExecutor(FakeExecutor):
    """Keeps how many attempts each look was for."""

    def __init__(self, world: FakeWorld) -> None:
        super().__init__(world)
        self.looks: list[int] = []

    async def poll(self, watches: Sequence[Watch]) -> Mapping[str, Sighting]:
        self.looks.append(len(watches))
        return await super().poll(watches)


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld()


@pytest.fixture
def executor(world: FakeWorld) -> WatchedExecutor:
    return WatchedExecutor(world)


@pytest.fixture
async def lookout(executor: WatchedExecutor) -> AsyncIterator[Lookout]:
    lookout = Lookout(executor, QUICK)
    running = asyncio.create_task(lookout.run())
    yield lookout
    running.cancel()


def launch(world: FakeWorld, attempt_id: str) -> Watch:
    launched = Launch(attempt_id)
    world.launch(launched)
    return Watch(launched)


async def test_one_look_is_for_all_who_wait(
    world: FakeWorld, executor: WatchedExecutor, lookout: Lookout
) -> None:
    watches = [launch(world, f"k3v9x2ab-{number}-1") for number in range(5)]
    sightings = await asyncio.gather(*map(lookout.look, watches))
    assert all(seen.is_running for seen in sightings)
    assert executor.looks == [5]


async def test_whoever_gave_up_may_wait_for_something_else(
    world: FakeWorld, executor: WatchedExecutor, lookout: Lookout
) -> None:
    watch = launch(world, "k3v9x2ab-0-1")
    world.print("k3v9x2ab-0-1", "1234")
    world.is_open.clear()
    lookout.look(watch).cancel()
    first = lookout.look(watch)
    await until(lambda: len(executor.looks) == 1)
    first.cancel()
    second = lookout.look(Watch(watch.launch, log_offset=2))
    world.is_open.set()
    assert (await second).log == b"34"
