import asyncio
import json
from dataclasses import replace

import pytest

from service.domain.attempts import Ending, EndingKind
from service.schedulers.executors.base import ErrorKind, LaunchRefused, StopKind, SweepRefused
from service.schedulers.executors.connection.connection import SystemAway, SystemRefused
from tests.unit.launch_worker import (
    PATH,
    SECRET,
    LaunchTests,
    Worker,
    begin,
    build_launch,
    see_end,
    settle,
)
from tests.unit.launch_world import Run


class TestLaunch(LaunchTests):
    async def test_pushes_what_an_agent_needs_and_no_secret(self, executor, world):
        launch = replace(
            build_launch(priority=1, entry_point=["python", "train.py"], resource="kubernetes"),
            mirror_ref="acme/mnist/sweep001",
        )

        reference = await executor.launch(launch)

        assert reference == PATH
        (item,) = world.items.values()
        assert item.priority == 1
        assert item.spec == {
            "entity": "acme",
            "project": "mnist",
            "run_id": "k3v9x2ab-12-1",
            "name": "trial-12",
            "job": "acme/mnist/train:latest",
            "docker": {},
            "git": {},
            "resource": "kubernetes",
            "sweep_id": "sweep001",
            "overrides": {
                "entry_point": ["python", "train.py"],
                "run_config": {
                    "lr": 0.1,
                    "optimizer": {"name": "adam"},
                    "asktell": {"study": "digits", "trial": 12, "attempt": 1},
                },
            },
        }
        assert SECRET not in json.dumps(item.spec)

    async def test_page_is_there_once_the_run_was_seen(self, executor, world, clock):
        launch = build_launch()
        reference = await executor.launch(launch)
        await executor.look(launch)
        waiting = executor.url(reference)
        world.claim()
        await executor.look(launch)
        other = Worker(world, clock)
        await other.look(launch)

        assert waiting is None
        for each in (executor, other):
            assert each.url(reference) == "https://wandb.example.org/acme/mnist/runs/k3v9x2ab-12-1"

    async def test_pushes_an_image_with_template_variables(self, executor, world):
        await executor.launch(
            build_launch(job=None, image="train:1", template_variables={"gpus": 2})
        )

        (item,) = world.items.values()
        assert item.spec["docker"] == {"docker_image": "train:1"}
        assert "job" not in item.spec
        assert "resource_args" not in item.spec
        assert item.template_variables == {"gpus": 2}
        assert world.calls["find_job_problem"] == 0

    async def test_run_of_a_sweep_elsewhere_does_not_name_it(self, executor, world):
        await executor.launch(replace(build_launch(), mirror_ref="acme/other/sweep001"))

        (item,) = world.items.values()
        assert "sweep_id" not in item.spec

    async def test_run_of_a_deleted_sweep_does_not_name_it(self, executor, world):
        world.sweeps.clear()
        await executor.launch(replace(build_launch(), mirror_ref="acme/mnist/sweep001"))

        (item,) = world.items.values()
        assert "sweep_id" not in item.spec

    async def test_parameter_with_the_name_of_our_labels_is_refused(self, executor, world):
        launch = replace(build_launch(), params={"lr": 0.1, "asktell": {"attempt": 9}})

        with pytest.raises(LaunchRefused, match="A parameter is called asktell"):
            await executor.launch(launch)
        assert world.items == {}

    async def test_project_is_spelled_as_agents_spell_it(self, executor, world):
        reference = await executor.launch(build_launch(project="MNIST"))

        assert reference == PATH

    async def test_what_wandb_does_not_take_is_refused(self, executor, world):
        world.refusals["push_queue_item"] = "gpus must be at most 4"

        with pytest.raises(LaunchRefused, match="model-registry/gpus: gpus must be at most 4"):
            await executor.launch(build_launch(template_variables={"gpus": 8}))

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"job": "acme/mnist/other:latest"}, "no job acme/mnist/other:latest: it is not there"),
            ({"launch_queue": "tpus"}, "no launch queue acme/model-registry/tpus"),
        ],
    )
    async def test_what_is_missing_ends_the_sweep(self, executor, world, arguments, message):
        launch = build_launch(**arguments)

        with pytest.raises(SweepRefused, match=message) as refusal:
            await executor.launch(launch)
        assert "`asktell sweep resume digits`" in str(refusal.value)
        assert executor.classify(refusal.value) is ErrorKind.PERMANENT
        assert world.items == {}

        world.jobs.add("acme/mnist/other:latest")
        world.queues.add("acme/model-registry/tpus")
        await executor.launch(launch)
        assert len(world.items) == 1

    @pytest.mark.parametrize(
        "arguments", [{"job": "acme/mnist/other:latest"}, {"launch_queue": "tpus"}]
    )
    async def test_key_that_sees_nothing_says_nothing_of_the_sweep(
        self, executor, world, arguments
    ):
        await executor.launch(build_launch(1))
        world.refusals["find_account"] = "W&B does not know the API key."

        with pytest.raises(SystemRefused, match="W&B refuses this worker: W&B does not know"):
            await executor.launch(build_launch(2, **arguments))

    @pytest.mark.parametrize(
        "operation",
        ["find_account", "find_runs", "list_queue_items", "find_job_problem", "push_queue_item"],
    )
    async def test_refused_key_is_waited_for(self, executor, world, operation):
        world.refusals[operation] = "Run `wandb login`."
        world.is_key_refused = True

        with pytest.raises(SystemRefused) as failure:
            await executor.launch(build_launch())
        assert str(failure.value) == "W&B refuses this worker: Run `wandb login`."
        assert executor.classify(failure.value) is ErrorKind.TRANSIENT

        world.refusals.clear()
        assert await executor.launch(build_launch()) == PATH
        assert len(world.items) == 1

    async def test_queue_that_goes_before_a_push_is_looked_for_again(self, executor, world):
        go_on = world.hold("push_queue_item")
        launching = asyncio.create_task(executor.launch(build_launch()))
        await settle()
        world.queues.clear()
        go_on.set()

        with pytest.raises(SystemRefused, match="took no run for the launch queue") as failure:
            await launching

        assert executor.classify(failure.value) is ErrorKind.TRANSIENT
        with pytest.raises(SweepRefused, match="no launch queue"):
            await executor.launch(build_launch())

    async def test_repeated_launch_pushes_once(self, executor, world, clock):
        launch = build_launch()
        for each in (executor, Worker(world, clock)):
            await each.launch(launch)
        world.claim()
        await Worker(world, clock).launch(launch)
        world.items.clear()
        await Worker(world, clock).launch(launch)

        assert world.calls["push_queue_item"] == 1

    async def test_each_launch_asks_little(self, executor, world):
        await executor.launch(build_launch(1))
        world.calls.clear()

        await executor.launch(build_launch(2))

        assert world.calls == {"find_runs": 1, "list_queue_items": 2, "push_queue_item": 1}

    async def test_push_whose_answer_was_lost_is_found_again(self, executor, world):
        world.lose_answer("push_queue_item")

        with pytest.raises(SystemAway) as failure:
            await executor.launch(build_launch())
        await executor.launch(build_launch())

        assert executor.classify(failure.value) is ErrorKind.TRANSIENT
        assert world.calls["push_queue_item"] == 1

    async def test_two_pushes_at_once_leave_one(self, executor, world, clock):
        go_on = world.hold("push_queue_item")
        launches = [
            asyncio.create_task(each.launch(build_launch()))
            for each in (executor, Worker(world, clock))
        ]
        await settle()
        go_on.set()
        await asyncio.gather(*launches)

        assert world.calls["push_queue_item"] == 2
        assert len(world.items) == 1

    async def test_what_waits_beside_a_taken_one_is_taken_out(self, executor, world):
        await executor.launch(build_launch())
        await world.call(
            "push_queue_item",
            {
                "entity": "acme",
                "project": "model-registry",
                "queue": "gpus",
                "run_spec": world.items["item-1"].spec,
                "priority": None,
                "template_variables": None,
            },
            deadline_seconds=1,
        )
        world.claim(is_begun=False)

        await executor.look(build_launch())

        assert list(world.items) == ["item-1"]


class TestStop(LaunchTests):
    async def test_running(self, executor, world, clock):
        launch = build_launch(timeout_seconds=60.0)
        run = await begin(executor, world, launch)
        await executor.look(launch)

        for each in (executor, Worker(world, clock)):
            await each.stop(launch, StopKind.GRACEFUL)
        assert run.is_stopped
        assert world.calls["flag_stops"] == 1
        clock.seconds += 100
        assert (await executor.look(launch)).is_running
        run.end("failed")

        ending = await see_end(executor, launch)
        assert (ending.kind, ending.exit_code) == (EndingKind.FAILED, None)
        assert ending.message == "Its W&B run was stopped by its worker."

    async def test_waiting(self, executor, world):
        launch = build_launch()
        await executor.launch(launch)

        for _ in range(2):
            await executor.stop(launch, StopKind.AT_ONCE)

        assert world.items == {}
        ending = await see_end(executor, launch)
        assert ending == Ending(
            EndingKind.NOT_STARTED, message="Stopped before it was started.", values={}
        )

    async def test_before_the_launch(self, executor, world):
        launch = build_launch()

        await executor.stop(launch, StopKind.GRACEFUL)
        await executor.launch(launch)

        assert world.calls["push_queue_item"] == 0
        assert (await see_end(executor, launch)).kind is EndingKind.NOT_STARTED

    async def test_taken_and_not_begun_is_told_once_it_runs(self, executor, world):
        launch = build_launch()
        await executor.launch(launch)
        world.claim(is_begun=False)

        await executor.stop(launch, StopKind.GRACEFUL)
        assert (await executor.look(launch)).ending is None
        run = world.runs[PATH] = Run()
        await executor.look(launch)

        assert run.is_stopped

    async def test_agent_that_was_faster(self, executor, world):
        """Its item was looked at while it waited, and could not be taken out any more."""
        launch = build_launch()
        await executor.launch(launch)
        go_on = world.hold("delete_queue_item")
        stopping = asyncio.create_task(executor.stop(launch, StopKind.GRACEFUL))
        await settle()
        run = world.claim()
        go_on.set()
        await stopping

        assert (await executor.look(launch)).is_running
        assert run.is_stopped

    async def test_adopted_while_it_is_stopped(self, executor, world, clock):
        launch = build_launch()
        run = await begin(executor, world, launch)
        await executor.stop(launch, StopKind.GRACEFUL)

        other = Worker(world, clock)
        await other.stop(launch, StopKind.GRACEFUL)
        run.end("failed")

        assert (await see_end(other, launch)).kind is EndingKind.FAILED

    async def test_nothing_is_left_over(self, executor, world, clock):
        launch = build_launch()
        run = await begin(executor, world, launch)
        run.end("finished")
        ending = await see_end(executor, launch)

        for each in (executor, Worker(world, clock)):
            await each.stop(launch, StopKind.GRACEFUL)
        await executor.forget(launch)
        await executor.forget(launch)

        assert not run.is_stopped
        assert await executor.list_left_over(()) == []
        assert await see_end(executor, launch) == ending

    async def test_time_limit(self, executor, world, clock):
        launch = build_launch(timeout_seconds=60.0)
        await executor.launch(launch)
        clock.seconds += 100
        await executor.look(launch)
        run = world.claim()
        await executor.look(launch)
        clock.seconds += 59
        await executor.look(launch)
        assert not run.is_stopped

        clock.seconds += 1
        await executor.look(launch)
        assert run.is_stopped
        run.summary = {"_runtime": 60.5}
        run.end("failed")

        for each in (executor, Worker(world, clock)):
            ending = await see_end(each, launch)
            assert ending.kind is EndingKind.TIMED_OUT
            assert ending.message == "Still running after 60 s."

    async def test_time_limit_goes_on_for_whoever_adopts(self, world, clock):
        run = await begin(Worker(world, clock), world, build_launch())
        run.summary = {"_runtime": 50.0}

        other, launch = Worker(world, clock), build_launch(timeout_seconds=60.0)
        await other.look(launch)
        clock.seconds += 10
        await other.look(launch)

        assert run.is_stopped
