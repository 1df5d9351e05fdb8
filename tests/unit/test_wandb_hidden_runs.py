"""Runs of which W&B says nothing: to this key, for now, or never any more."""

from dataclasses import replace

import pytest

from service.domain.attempts import EndingKind
from service.schedulers.executors.base import StopKind, Watch
from service.schedulers.executors.connection.connection import SystemSilent
from tests.unit.agent_world import AgentWorld
from tests.unit.agent_world import Worker as AgentWorker
from tests.unit.agent_world import build_launch as build_agent_launch
from tests.unit.launch_worker import (
    PATH,
    Clock,
    LaunchTests,
    Worker,
    begin,
    build_launch,
    see_end,
    settle,
)
from tests.unit.launch_world import Run

HIDDEN = "W&B shows no project acme/mnist to this key; give its user access to it."


class TestLaunchQueues(LaunchTests):
    async def test_key_that_sees_nothing_says_nothing_of_what_runs(self, executor, world, clock):
        launch = build_launch()
        run = await begin(executor, world, launch)
        await executor.look(launch)
        queues, world.queues, world.is_project_shown = world.queues, set(), False
        other = Worker(world, clock)
        for _ in range(4):
            clock.seconds += 86_400
            seen, adopted = await executor.look(launch), await other.look(launch)
        world.queues, world.is_project_shown = queues, True
        run.end("finished")

        assert (seen.ending, seen.note) == (None, HIDDEN)
        assert adopted.note == "W&B shows this worker no launch queue acme/model-registry/gpus."
        for each in (executor, other):
            assert (await see_end(each, launch)).kind is EndingKind.EXITED

    async def test_worker_with_another_account_looks_where_the_run_is(self, executor, world, clock):
        launch = build_launch()
        reference = await executor.launch(launch)
        world.claim()
        world.account = "globex"
        other, adopted = Worker(world, clock), replace(launch, external_ref=reference)

        assert await other.poll([Watch(adopted)]) == {}
        assert (await other.look(adopted)).is_running

    async def test_project_need_not_be_there_before_its_first_run(self, executor, world):
        world.is_project_shown = False
        first, second = build_launch(1), build_launch(2)
        for launch in (first, second):
            await executor.launch(launch)
        waiting = await executor.look(first)
        await executor.stop(first, StopKind.GRACEFUL)

        assert waiting.note == "Waits in the launch queue acme/model-registry/gpus."
        assert (await see_end(executor, first)).kind is EndingKind.NOT_STARTED
        assert len(world.items) == 1

    async def test_stopped_attempt_whose_project_is_gone_ends(self, executor, world, clock):
        launch = build_launch()
        await begin(executor, world, launch)
        await executor.look(launch)
        world.is_project_shown = False
        await executor.stop(launch, StopKind.GRACEFUL)
        still = await executor.look(launch)
        clock.seconds += 3600

        assert still.ending is None
        assert (await see_end(executor, launch)).kind is EndingKind.VANISHED

    async def test_agent_that_dies_with_its_item_fails_the_attempt_in_the_end(
        self, executor, world, clock
    ):
        launch = build_launch()
        await executor.launch(launch)
        clock.seconds += 2 * 86_400
        await executor.look(launch)
        world.claim(is_begun=False)
        await executor.look(launch)
        clock.seconds += 86_000
        still = await executor.look(launch)
        clock.seconds += 400

        ending = await see_end(executor, launch)
        assert (still.ending, ending.kind) == (None, EndingKind.NOT_STARTED)
        assert "had not begun after 86400 s" in ending.message

    @pytest.mark.parametrize(
        ("is_taken", "words"),
        [(False, "No launch agent had taken it after 100 s."), (True, "had not begun after 100 s")],
    )
    async def test_limit_of_the_sweep(self, executor, world, clock, is_taken, words):
        launch = build_launch(start_timeout_seconds=100)
        await executor.launch(launch)
        await executor.look(launch)
        if is_taken:
            world.claim(is_begun=False)
        clock.seconds += 99
        still = await executor.look(launch)
        clock.seconds += 1

        ending = await see_end(executor, launch)
        assert (still.ending, ending.kind) == (None, EndingKind.NOT_STARTED)
        assert words in ending.message
        assert world.list_waiting() == []

    async def test_limit_is_over_once_the_run_begins(self, executor, world, clock):
        launch = build_launch(start_timeout_seconds=100)
        run = await begin(executor, world, launch)
        await executor.look(launch)
        clock.seconds += 1000

        assert (await executor.look(launch)).is_running
        assert not run.is_stopped

    async def test_stopped_attempt_whose_agent_has_died_ends(self, executor, world, clock):
        launch = build_launch()
        await executor.launch(launch)
        world.claim(is_begun=False)
        await executor.stop(launch, StopKind.GRACEFUL)
        await executor.look(launch)
        clock.seconds += 3000
        still = await executor.look(launch)
        clock.seconds += 600

        ending = await see_end(executor, launch)
        assert (still.ending, ending.kind) == (None, EndingKind.NOT_STARTED)
        assert ending.message.startswith("Stopped before its run began")

    async def test_what_may_wait_out_of_sight_is_not_pushed_again(self, executor, world, clock):
        launch = build_launch(start_timeout_seconds=100)
        world.is_readable_to_the_end = False
        world.lose_answer("push_queue_item")
        with pytest.raises(SystemSilent):
            await executor.launch(launch)
        hidden, world.items = world.items, {}
        await executor.launch(launch)
        seen = await executor.look(launch)
        clock.seconds += 50
        world.items = hidden
        waiting = await executor.look(launch)

        assert world.calls["push_queue_item"] == 1
        assert "too long to be read to its end" in seen.note
        assert waiting.note == "Waits in the launch queue acme/model-registry/gpus."
        world.runs[PATH] = Run()
        assert (await executor.look(launch)).is_running

    async def test_history_that_is_refused_keeps_no_run_from_its_limit(
        self, executor, world, clock
    ):
        launch = build_launch(timeout_seconds=60)
        run = await begin(executor, world, launch)
        await executor.look(launch)
        run.log(loss=0.5)
        world.refusals["read_history"] = "parquet missing"
        clock.seconds += 60
        seen = await executor.look(launch)
        run.end("failed")
        unread = await executor.look(launch)
        clock.seconds += 3600

        assert (run.is_stopped, seen.note, unread.ending) == (True, "parquet missing", None)
        assert (await see_end(executor, launch)).kind is EndingKind.TIMED_OUT


class TestAgents:
    @pytest.fixture
    def world(self):
        return AgentWorld()

    @pytest.fixture
    def executor(self, world):
        return AgentWorker(world, Clock())

    async def test_key_that_sees_nothing_says_nothing_of_what_runs(self, executor, world):
        launch = build_agent_launch()
        await executor.launch(launch)
        run = world.take()
        await executor.look(launch)
        world.is_project_shown = False
        for _ in range(4):
            seen = await executor.look(launch)
        world.is_project_shown = True
        run.end("finished")

        assert (seen.ending, seen.note) == (None, HIDDEN)
        assert (await see_end(executor, launch)).kind is EndingKind.EXITED

    async def test_stopped_attempt_whose_project_is_gone_ends(self, executor, world):
        launch = build_agent_launch(timeout_seconds=60)
        await executor.launch(launch)
        world.take()
        await executor.look(launch)
        world.is_project_shown = False
        still = await executor.look(launch, after_seconds=61)
        await executor.look(launch, after_seconds=3600)
        await settle()

        assert still.ending is None
        assert (await see_end(executor, launch)).kind is EndingKind.TIMED_OUT

    async def test_history_that_is_refused_keeps_no_run_from_its_limit(self, executor, world):
        launch = build_agent_launch(timeout_seconds=60)
        await executor.launch(launch)
        run = world.take()
        await executor.look(launch)
        run.log(loss=0.5)
        world.refusals["read_history"] = "parquet missing"

        assert (await executor.look(launch, after_seconds=61)).note == "parquet missing"
        assert run.is_stopped
