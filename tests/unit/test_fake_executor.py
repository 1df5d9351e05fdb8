"""The fake does to a worker what an outside can."""

import asyncio

import pytest

from service.domain.attempts import EndingKind
from service.schedulers.executors.base import ErrorKind, Launch, StopKind, Watch
from service.schedulers.executors.fake import FakeExecutor, FakeFailure, FakeWorld

LAUNCH = Launch("k3v9x2ab-0-1", metrics=("accuracy",))


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld()


@pytest.fixture
def executor(world: FakeWorld) -> FakeExecutor:
    return FakeExecutor(world)


@pytest.mark.parametrize("operation", ["launch", "poll", "stop", "forget"])
async def test_operation_fails_as_often_as_it_is_told(
    world: FakeWorld, executor: FakeExecutor, operation: str
):
    calls = {
        "launch": lambda: executor.launch(LAUNCH),
        "poll": lambda: executor.poll([Watch(LAUNCH)]),
        "stop": lambda: executor.stop(LAUNCH, StopKind.GRACEFUL),
        "forget": lambda: executor.forget(LAUNCH),
    }
    world.fail_next(operation)
    world.fail_next(operation, TypeError())

    with pytest.raises(FakeFailure) as failure:
        await calls[operation]()
    assert executor.classify(failure.value) is ErrorKind.TRANSIENT
    with pytest.raises(TypeError):
        await calls[operation]()
    await calls[operation]()


async def test_failed_launch_executes_nothing(world: FakeWorld, executor: FakeExecutor):
    world.fail_next("launch")

    with pytest.raises(FakeFailure):
        await executor.launch(LAUNCH)

    assert world.executions[LAUNCH.attempt_id] == 0


async def test_closed_world_holds_everything_up(world: FakeWorld, executor: FakeExecutor):
    world.is_open.clear()
    launching = asyncio.create_task(executor.launch(LAUNCH))
    await asyncio.sleep(0)
    assert world.executions[LAUNCH.attempt_id] == 0

    world.is_open.set()

    await launching
    assert world.executions[LAUNCH.attempt_id] == 1


async def test_stubborn_program_has_to_be_killed(world: FakeWorld, executor: FakeExecutor):
    program = world.program(LAUNCH.attempt_id)
    program.is_stubborn = True
    await executor.launch(LAUNCH)

    await executor.stop(LAUNCH, StopKind.GRACEFUL)
    assert (await executor.poll([Watch(LAUNCH)]))[LAUNCH.attempt_id].is_running
    await executor.stop(LAUNCH, StopKind.AT_ONCE)

    assert program.ending is not None
    assert program.ending.signal == 9
    assert program.stops == [StopKind.GRACEFUL, StopKind.AT_ONCE]


async def test_what_is_said_before_the_launch_is_there_after_it(
    world: FakeWorld, executor: FakeExecutor
):
    world.report(LAUNCH.attempt_id, {"accuracy": 0.5})
    world.time_out(LAUNCH.attempt_id)

    await executor.launch(LAUNCH)
    sighting = (await executor.poll([Watch(LAUNCH)]))[LAUNCH.attempt_id]

    assert [row.values for row in sighting.rows] == [{"accuracy": 0.5}]
    assert sighting.ending is not None
    assert sighting.ending.kind is EndingKind.TIMED_OUT
    assert sighting.ending.values == {"accuracy": 0.5}
