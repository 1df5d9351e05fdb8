"""Runs that W&B calls crashed, since it has not heard of them for minutes."""

import pytest

from service.domain.attempts import Ending, EndingKind
from service.schedulers.executors.base import StopKind
from tests.unit import agent_world
from tests.unit.launch_worker import Clock, LaunchTests, begin, build_launch, resume, see_end


class TestLaunchedRuns(LaunchTests):
    async def test_run_that_wandb_calls_crashed_is_waited_for_told_to_end_and_lost(
        self, executor, world, clock
    ):
        launch = build_launch()
        run = await begin(executor, world, launch)
        run.log(loss=0.5)
        run.state = "crashed"
        waiting = await executor.look(launch)
        clock.seconds += 299
        still = await executor.look(launch)

        assert (waiting.is_running, waiting.ending, still.ending) == (False, None, None)
        assert "has not heard of it for minutes" in still.note
        assert not run.is_stopped
        clock.seconds += 2
        told = await executor.look(launch)
        assert (told.ending, run.is_stopped) == (None, True)
        ending = await see_end(executor, launch)
        assert (ending.kind, ending.values) == (EndingKind.VANISHED, {"loss": 0.5})

    async def test_run_that_is_heard_of_again_goes_on(self, executor, world, clock):
        launch = build_launch()
        run = await begin(executor, world, launch)
        run.log(loss=0.5)
        run.state = "crashed"
        await executor.look(launch)
        clock.seconds += 299
        await executor.look(launch)
        run.state = "running"
        assert (await executor.look(launch)).is_running
        run.state = "crashed"
        await executor.look(launch)
        clock.seconds += 299
        assert (await executor.look(launch)).ending is None
        assert not run.is_stopped

        run.log(loss=0.25)
        run.end("finished")
        assert await see_end(executor, launch) == Ending(
            EndingKind.EXITED, exit_code=0, values={"loss": 0.25}
        )

    async def test_heartbeats_count_though_wandb_calls_it_crashed(self, executor, world, clock):
        launch = build_launch()
        run = await begin(executor, world, launch)
        run.state = "crashed"
        for minute in range(20):
            run.heartbeat_at = f"2026-01-01T00:{minute:02}:00Z"
            clock.seconds += 60
            assert (await executor.look(launch)).ending is None

        assert not run.is_stopped

    async def test_run_that_takes_no_stop_is_lost_later(self, executor, world, clock):
        launch = build_launch()
        run = await begin(executor, world, launch)
        run.state = "crashed"
        world.takes_stops = False
        await executor.look(launch)
        clock.seconds += 599
        assert (await executor.look(launch)).ending is None
        clock.seconds += 2

        assert (await see_end(executor, launch)).kind is EndingKind.VANISHED

    async def test_run_that_was_to_end_is_not_waited_for(self, executor, world):
        launch = build_launch()
        run = await begin(executor, world, launch)
        run.state = "crashed"
        await executor.look(launch)

        await executor.stop(launch, StopKind.GRACEFUL)

        assert run.is_stopped
        assert (await see_end(executor, launch)).kind is EndingKind.VANISHED

    async def test_resumed_run_that_crashed_unseen_is_lost_too(self, executor, world, clock):
        run = await begin(executor, world, build_launch())
        run.end("preempted")
        launch = resume(build_launch())
        await executor.launch(launch)
        world.claim()
        run.state = "crashed"
        await executor.look(launch)
        clock.seconds += 301

        await executor.look(launch)
        assert run.is_stopped
        assert (await see_end(executor, launch)).kind is EndingKind.VANISHED


class TestAgentRuns:
    @pytest.fixture
    def world(self):
        return agent_world.AgentWorld()

    @pytest.fixture
    def executor(self, world):
        return agent_world.Worker(world, Clock())

    async def test_run_that_wandb_calls_crashed_is_waited_for_told_to_end_and_lost(
        self, executor, world
    ):
        launch = agent_world.build_launch()
        await executor.launch(launch)
        run = world.take()
        run.log(loss=0.5)
        run.state = "crashed"
        await executor.look(launch)
        still = await executor.look(launch, after_seconds=299)
        assert (still.is_running, still.ending, run.is_stopped) == (False, None, False)
        assert "has not heard of it for minutes" in still.note
        told = await executor.look(launch, after_seconds=2)
        assert (told.ending, run.is_stopped) == (None, True)

        ending = await see_end(executor, launch)
        assert (ending.kind, ending.values) == (EndingKind.VANISHED, {"loss": 0.5})
        assert "without a word" in ending.message

    async def test_run_that_is_heard_of_again_goes_on(self, executor, world):
        launch = agent_world.build_launch()
        await executor.launch(launch)
        run = world.take()
        run.state = "crashed"
        await executor.look(launch)
        await executor.look(launch, after_seconds=299)
        run.state = "running"
        seen = await executor.look(launch, after_seconds=299)

        assert (seen.is_running, run.is_stopped) == (True, False)
