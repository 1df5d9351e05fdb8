"""Attempts of wandb-launch that go on with a run that was preempted."""

from dataclasses import replace

import pytest

from tests.unit.launch_worker import PATH, LaunchTests, begin, build_launch, resume, see_end


class TestResumed(LaunchTests):
    async def test_resumed_run_is_pushed_to_go_on(self, executor, world):
        run = await begin(executor, world, build_launch())
        run.end("preempted")
        launch = resume(build_launch())

        for _ in range(2):
            reference = await executor.launch(launch)

        assert reference == PATH
        (item,) = world.list_waiting()
        assert item.spec["_resume_count"] == 1
        assert item.spec["name"] == "trial-12"
        assert not (await executor.look(launch)).is_running
        world.claim()
        assert (await executor.look(launch)).is_running
        run.end("finished")
        assert (await see_end(executor, launch)).exit_code == 0

    @pytest.mark.parametrize("state", ["pending", "claimed"])
    async def test_run_that_an_agent_pushed_again_itself_is_taken_over(
        self, executor, world, state
    ):
        run = await begin(executor, world, build_launch())
        run.end("preempted")
        world.push_again(world.items["item-1"], state=state)

        await executor.launch(resume(build_launch()))

        assert world.calls["push_queue_item"] == 1

    @pytest.mark.parametrize("is_pushed_again", [False, True])
    async def test_what_an_earlier_attempt_went_on_with_is_not_taken_for_the_next(
        self, executor, world, is_pushed_again
    ):
        run = await begin(executor, world, build_launch())
        run.end("preempted")
        await executor.launch(resume(build_launch()))
        second = world.list_waiting()[0]
        world.claim()
        run.end("preempted")
        if is_pushed_again:
            world.push_again(second, state="claimed")
        third = replace(resume(build_launch()), attempt_id="k3v9x2ab-12-3", attempt=3)

        await executor.launch(third)

        assert [item.spec["_resume_count"] for item in world.list_waiting()] == (
            [] if is_pushed_again else [2]
        )

    async def test_run_of_a_later_attempt_is_pushed_again_as_often(self, executor, world):
        began = replace(
            build_launch(), attempt_id="k3v9x2ab-12-3", run_id="k3v9x2ab-12-3", attempt=3
        )
        run = await begin(executor, world, began)
        run.end("preempted")
        world.push_again(world.items["item-1"], state="claimed")

        await executor.launch(replace(began, attempt_id="k3v9x2ab-12-4", attempt=4))

        assert world.calls["push_queue_item"] == 1
