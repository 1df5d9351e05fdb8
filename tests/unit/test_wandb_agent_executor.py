import asyncio
from dataclasses import replace

import pytest

from service.domain.attempts import Ending, EndingKind
from service.schedulers.executors.base import (
    ErrorKind,
    LaunchRefused,
    MetricRow,
    StopKind,
    SweepRefused,
    Watch,
)
from service.schedulers.executors.connection.connection import SystemAway, SystemRefused
from tests.unit.agent_world import SWEEP, AgentWorld, Worker, build_launch
from tests.unit.launch_worker import Clock, see_end, settle


class AgentTests:
    @pytest.fixture
    def world(self):
        return AgentWorld()

    @pytest.fixture
    def clock(self):
        return Clock()

    @pytest.fixture
    def executor(self, world, clock):
        return Worker(world, clock)


class TestLaunch(AgentTests):
    async def test_enqueues_the_parameters_and_nothing_else(self, executor, world):
        reference = await executor.launch(build_launch())
        await executor.launch(build_launch(attempt=2))

        first, second = world.list_enqueued()
        # Agents make an argument of the program of whatever is there.
        assert first.config == {"lr": 0.1, "optimizer": {"name": "adam"}}
        assert (first.label, second.label) == ("trial-12", "trial-12-attempt-2")
        assert reference == "acme/mnist/w001/k3v9x2ab-12-1"
        assert executor.url(reference) == "https://wandb.example.org/acme/mnist/runs/w001"

    async def test_lost_answer_is_found_again(self, executor, world, clock):
        world.lose_answer("enqueue_run")
        with pytest.raises(SystemAway):
            await executor.launch(build_launch())

        references = {
            await each.launch(build_launch()) for each in (executor, Worker(world, clock))
        }

        assert references == {"acme/mnist/w001/k3v9x2ab-12-1"}
        assert len(world.list_enqueued()) == 1

    async def test_of_two_at_once_one_is_left(self, executor, world, clock):
        others = [Worker(world, clock) for _ in range(2)]
        held = world.hold("enqueue_run")
        launching = [
            asyncio.create_task(each.launch(build_launch())) for each in (executor, *others)
        ]
        await settle()
        held.set()
        await asyncio.gather(*launching)
        assert [run.state for run in world.list_enqueued()] == ["pending", "killed", "killed"]
        seen = [await each.look(build_launch()) for each in (executor, *others)]

        assert [run.state for run in world.list_enqueued()] == ["pending", "killed", "killed"]
        assert {(each.ending, each.note) for each in seen} == {
            (None, f"No agent has begun it yet. To start one: wandb agent {SWEEP}")
        }

    async def test_what_is_seen_late_and_twice_is_stopped(self, executor, world, clock):
        world.hidden = {"w001"}
        await executor.launch(build_launch())
        other = Worker(world, clock)
        await other.launch(build_launch())
        world.hidden = set()
        await executor.look(build_launch())
        taken = world.take()
        seen = [await each.look(build_launch()) for each in (executor, other)]

        assert [run.state for run in world.list_enqueued()] == ["running", "killed"]
        assert taken is world.list_enqueued()[0]
        assert [each.is_running for each in seen] == [True, True]

    async def test_what_an_agent_has_taken_is_kept(self, executor, world, clock):
        world.hidden = {"w001"}
        await executor.launch(build_launch())
        await Worker(world, clock).launch(build_launch())
        world.hidden = set()
        older, newer = world.list_enqueued()
        newer.state = "running"

        assert (await executor.look(build_launch())).is_running
        assert (older.state, newer.is_stopped) == ("killed", False)

    async def test_older_server_ends_the_sweep(self, executor, world):
        world.can_enqueue = False
        with pytest.raises(SweepRefused, match="cannot enqueue runs of a sweep"):
            await executor.launch(build_launch())

    async def test_what_wandb_does_not_take_is_refused(self, executor, world):
        world.refusals["enqueue_run"] = "Invalid config."
        with pytest.raises(LaunchRefused, match=f"for the sweep {SWEEP}: Invalid config"):
            await executor.launch(build_launch())

    async def test_deleted_sweep_costs_no_trial(self, executor, world):
        world.sweep_state = None
        with pytest.raises(SystemRefused) as refusal:
            await executor.launch(build_launch())
        assert executor.classify(refusal.value) is ErrorKind.TRANSIENT

    async def test_refused_key_is_waited_for(self, executor, world):
        world.refusals["enqueue_run"] = "permission denied"
        world.is_key_refused = True
        with pytest.raises(SystemRefused, match="W&B refuses this worker: permission denied"):
            await executor.launch(build_launch())

    async def test_attempt_that_began_before_its_sweep_finds_it(self, executor, world):
        launch = replace(build_launch(), mirror_ref=None)
        world.sweep_state = None
        with pytest.raises(SystemRefused, match="no sweep in W&B for it yet"):
            await executor.launch(launch)
        world.sweep_state = "RUNNING"

        assert await executor.launch(launch) == "acme/mnist/w001/k3v9x2ab-12-1"


class TestFollowing(AgentTests):
    async def test_waits_runs_and_finishes(self, executor, world):
        launch = build_launch()
        await executor.launch(launch)
        waiting = await executor.look(launch)
        run = world.take()
        run.log(loss=0.5)
        running = await executor.look(launch)
        run.log(loss=0.25)
        run.end("finished")

        assert (waiting.is_running, waiting.ending) == (False, None)
        assert (running.is_running, running.note) == (True, None)
        assert running.rows == [MetricRow(0, {"loss": 0.5})]
        assert await see_end(executor, launch) == Ending(
            EndingKind.EXITED, exit_code=0, values={"loss": 0.25}
        )

    async def test_one_request_for_all_runs_that_run(self, executor, world):
        launches = [build_launch(number) for number in range(3)]
        for launch in launches:
            await executor.launch(launch)
            world.take()
        for _ in range(2):
            await executor.look(launches[0])
            await executor.poll([Watch(launch) for launch in launches])
            await settle()
        before = world.calls.copy()
        executor._tests_clock.seconds += 1
        await executor.poll([Watch(launch) for launch in launches])
        await settle()

        assert world.calls - before == {"find_runs": 1}

    @pytest.mark.parametrize("is_told", [True, False])
    async def test_another_worker_goes_on(self, executor, world, clock, is_told):
        launch = build_launch()
        reference = await executor.launch(launch)
        run = world.take()
        if is_told:
            # Programs name their runs as they like.
            run.label = "the best one"
        other = Worker(world, clock)
        adopted = replace(launch, external_ref=reference if is_told else None)
        assert await other.poll([Watch(adopted)]) == {}

        assert (await other.look(adopted)).is_running
        run.end("finished")
        assert (await see_end(other, adopted)).kind is EndingKind.EXITED
        assert len(world.list_enqueued()) == 1

    async def test_away_and_back(self, executor, world):
        launch = build_launch()
        await executor.launch(launch)
        world.take()
        await executor.look(launch)
        world.is_away = True
        away = await executor.look(launch)
        world.is_away = False

        assert (away.is_running, away.ending) == (True, None)
        assert (await executor.look(launch)).is_running

    @pytest.mark.parametrize(
        ("state", "kind", "words"),
        [
            ("failed", EndingKind.FAILED, "run failed"),
            ("killed", EndingKind.CANCELLED, "A person stopped"),
            ("preempted", EndingKind.PREEMPTED, "preempted"),
        ],
    )
    async def test_how_runs_end(self, executor, world, state, kind, words):
        launch = build_launch()
        await executor.launch(launch)
        run = world.take()
        run.log(loss=0.5)
        await executor.look(launch)
        run.state = state

        ending = await see_end(executor, launch)
        assert (ending.kind, ending.values) == (kind, {"loss": 0.5})
        assert words in ending.message

    async def test_what_is_logged_last_counts_though_a_stop_sees_the_end_first(
        self, executor, world
    ):
        launch = build_launch()
        await executor.launch(launch)
        run = world.take()
        run.log(loss=0.5)
        reading = world.hold("read_history")
        await executor.look(launch)
        run.log(loss=0.25)
        run.end("finished")
        await executor.stop(launch, StopKind.GRACEFUL)
        reading.set()

        ending = await see_end(executor, launch)
        assert (ending.kind, ending.values) == (EndingKind.EXITED, {"loss": 0.25})

    @pytest.mark.parametrize("state", ["FINISHED", "CANCELED", None])
    async def test_what_waits_ends_with_its_sweep(self, executor, world, state):
        waiting, running = build_launch(1), build_launch(2)
        await executor.launch(running)
        world.take()
        await executor.launch(waiting)
        world.sweep_state = state

        ending = await see_end(executor, waiting)
        assert ending.kind is EndingKind.CANCELLED
        assert "before a program had begun the run" in ending.message
        assert (await executor.look(running)).is_running

    async def test_deleted_run_has_vanished(self, executor, world):
        launch = build_launch()
        await executor.launch(launch)
        world.take()
        await executor.look(launch)
        world.runs.clear()

        assert (await see_end(executor, launch)).kind is EndingKind.VANISHED


class TestWaiting(AgentTests):
    async def test_program_that_dies_before_its_run_begins_fails_the_attempt(self, executor, world):
        launch = build_launch()
        await executor.launch(launch)
        run = world.take(is_begun=False)
        await executor.look(launch)
        taken = await executor.look(launch, after_seconds=61)
        still = await executor.look(launch, after_seconds=599)
        await executor.look(launch, after_seconds=2)

        assert (taken.is_running, taken.ending, still.ending) == (False, None, None)
        assert taken.note == "An agent has taken it; its program has not begun the run yet."
        ending = await see_end(executor, launch)
        assert ending.kind is EndingKind.FAILED
        assert ending.message.startswith("An agent took it, and its program had not begun the run")
        assert run.state == "killed"

    async def test_what_no_agent_has_taken_waits_and_asks_once_a_minute(self, executor, world):
        launch = build_launch()
        await executor.launch(launch)
        for _ in range(120):
            seen = await executor.look(launch, after_seconds=30)

        assert (seen.ending, seen.note[:12]) == (None, "No agent has")
        assert world.calls["list_taken_runs"] == 59

    @pytest.mark.parametrize(
        ("is_taken", "words"), [(True, "An agent took it"), (False, "no agent took it, or its")]
    )
    async def test_limit_of_the_sweep(self, executor, world, is_taken, words):
        launch = build_launch(start_timeout_seconds=100)
        await executor.launch(launch)
        if is_taken:
            world.take(is_begun=False)
        await executor.look(launch)
        still = await executor.look(launch, after_seconds=99)
        await executor.look(launch, after_seconds=2)

        ending = await see_end(executor, launch)
        assert (still.ending, ending.kind) == (None, EndingKind.FAILED)
        assert words in ending.message
        assert "after 100 s" in ending.message

    async def test_it_is_over_once_the_program_begins(self, executor, world):
        launch = build_launch(start_timeout_seconds=100)
        await executor.launch(launch)
        await executor.look(launch)
        run = world.take()
        await executor.look(launch, after_seconds=1000)

        assert (await executor.look(launch)).is_running
        assert not run.is_stopped

    async def test_wandb_that_tells_nothing_of_agents_hides_nothing(self, executor, world):
        launch, running = build_launch(1), build_launch(2)
        await executor.launch(running)
        world.take()
        await executor.launch(launch)
        world.refusals["list_taken_runs"] = "Cannot query field agents."
        await executor.look(launch)
        seen = await executor.look(launch, after_seconds=61)

        assert (seen.ending, seen.note) == (None, "Cannot query field agents.")
        assert (await executor.look(running)).is_running


class TestStop(AgentTests):
    async def test_what_waits_is_never_begun(self, executor, world, clock):
        launch = build_launch()
        await executor.launch(launch)

        await Worker(world, clock).stop(launch, StopKind.GRACEFUL)

        (run,) = world.list_enqueued()
        assert run.state == "killed"
        await executor.stop(launch, StopKind.GRACEFUL)
        ending = await see_end(executor, launch)
        assert ending.kind is EndingKind.NOT_STARTED
        assert ending.message == "Stopped before a program had begun its run."

    async def test_agent_that_was_faster_is_told(self, executor, world):
        launch = build_launch()
        await executor.launch(launch)
        await executor.stop(launch, StopKind.GRACEFUL)
        (run,) = world.list_enqueued()
        run.state, run.is_stopped = "running", False

        seen = await executor.look(launch)
        assert (seen.is_running, run.is_stopped) == (True, True)

    async def test_program_that_is_gone_without_a_word_is_ended(self, executor, world):
        launch = build_launch()
        await executor.launch(launch)
        run = world.take()
        run.log(loss=0.5)
        await executor.look(launch)
        await executor.stop(launch, StopKind.GRACEFUL)
        await executor.look(launch)
        await executor.look(launch, after_seconds=60)
        run.heartbeat_at = "2026-01-01T00:01:00Z"
        await executor.look(launch, after_seconds=60)
        still = await executor.look(launch, after_seconds=60)
        await executor.look(launch, after_seconds=60)

        assert (still.ending, run.state) == (None, "killed")
        ending = await see_end(executor, launch)
        assert (ending.kind, ending.values) == (EndingKind.FAILED, {"loss": 0.5})

    async def test_time_limit(self, executor, world, clock):
        launch = build_launch(timeout_seconds=100)
        await executor.launch(launch)
        run = world.take()
        await executor.look(launch)
        await executor.look(launch, after_seconds=99)
        assert not run.is_stopped
        await executor.look(launch, after_seconds=2)
        assert run.is_stopped
        run.summary = {"_runtime": 101}
        run.end("failed")

        for each in (executor, Worker(world, clock)):
            if each is not executor:
                await each.poll([Watch(launch)])
                await settle()
            ending = await see_end(each, launch)
            assert (ending.kind, ending.message) == (
                EndingKind.TIMED_OUT,
                "Still running after 100 s.",
            )

    async def test_stopped_before_its_launch(self, executor, world):
        await executor.stop(build_launch(), StopKind.GRACEFUL)
        with pytest.raises(LaunchRefused, match="before it was launched"):
            await executor.launch(build_launch())
        assert world.list_enqueued() == []
