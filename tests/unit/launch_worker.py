"""A worker's executor wandb-launch in the world in memory, and attempts for it."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from service.domain.attempts import Ending
from service.schedulers.executors.base import Launch, Sighting, Watch
from service.schedulers.executors.wandb.queue.launch_api import LaunchQueueApi
from service.schedulers.executors.wandb.queue.launch_executor import WandbLaunchExecutor
from service.schedulers.executors.wandb.runs.run_api import WandbApi
from service.schedulers.executors.wandb.runs.run_settings import RunSettings
from tests.unit.launch_world import LaunchWorld, Run

ARGUMENTS: dict[str, Any] = {
    "job": "acme/mnist/train:latest",
    "image": None,
    "launch_queue": "gpus",
    "launch_queue_project": None,
    "resource": None,
    "resource_args": {},
    "template_variables": {},
    "priority": None,
    "entry_point": None,
    "project": "mnist",
    "entity": None,
    "value": "last",
    "step_metric": None,
    "sweep": True,
    "timeout_seconds": None,
    "start_timeout_seconds": None,
}
PATH = "acme/mnist/k3v9x2ab-12-1"
SECRET = "a-token-of-this-attempt"


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Worker(WandbLaunchExecutor):
    """An executor that looks when a test says so."""

    def __init__(self, world: LaunchWorld, clock: Clock, *, tick_seconds: float = 0.01) -> None:
        settings = RunSettings(
            environment={"WANDB_BASE_URL": "https://wandb.example.org"},
            tick_seconds=tick_seconds,
            soonest_seconds=tick_seconds / 2,
            clock=clock,
        )
        super().__init__(WandbApi(world), LaunchQueueApi(world), settings)
        self._tests_clock = clock

    async def look(self, launch: Launch, cursor: int = 0) -> Sighting | None:
        """What is to be seen after one more look at W&B."""
        self._tests_clock.seconds += 0.01
        await self.poll([Watch(launch, cursor)])
        await settle()
        return (await self.poll([Watch(launch, cursor)])).get(launch.attempt_id)


class LaunchTests:
    """Tests that have a world, a clock and a worker's executor in them."""

    @pytest.fixture
    def world(self) -> LaunchWorld:
        return LaunchWorld()

    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def executor(self, world: LaunchWorld, clock: Clock) -> Worker:
        return Worker(world, clock)


def build_launch(number: int = 12, **arguments: Any) -> Launch:
    attempt_id = f"k3v9x2ab-{number}-1"
    return Launch(
        attempt_id,
        run_id=attempt_id,
        study="digits",
        trial=number,
        attempt=1,
        params={"lr": 0.1, "optimizer": {"name": "adam"}},
        metrics=("loss",),
        directions=("minimize",),
        arguments=ARGUMENTS | arguments,
        environment={"ASKTELL_TOKEN": SECRET},
    )


def resume(launch: Launch) -> Launch:
    return replace(launch, attempt_id="k3v9x2ab-12-2", attempt=2)


async def settle() -> None:
    """Lets a look that has begun come to its end: nothing in the world takes time."""
    for _ in range(50):
        await asyncio.sleep(0)


async def begin(executor: Worker, world: LaunchWorld, launch: Launch) -> Run:
    await executor.launch(launch)
    return world.claim()


async def see_end(executor: Worker, launch: Launch) -> Ending:
    for _ in range(3):
        seen = await executor.look(launch)
        if seen.ending is not None:
            assert not seen.is_running
            assert seen.note is None
            return seen.ending
    raise AssertionError(f"It has not ended: {seen}")
