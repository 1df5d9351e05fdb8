import math

import pytest

from service.domain.attempts import Ending, EndingKind
from service.schedulers.executors.base import (
    MetricRow,
    StopKind,
    Watch,
)
from tests.unit.launch_worker import (
    PATH,
    LaunchTests,
    Worker,
    begin,
    build_launch,
    resume,
    see_end,
    settle,
)


class TestFollowing(LaunchTests):
    async def test_waits_runs_and_finishes(self, executor, world):
        launch = build_launch()
        await executor.launch(launch)

        waiting = await executor.look(launch)
        run = world.claim()
        run.log(loss=0.5)
        running = await executor.look(launch)
        run.log(other=1)
        run.log(loss=0.25)
        run.end("finished")
        ended = await executor.look(launch)

        assert (waiting.is_running, waiting.ending) == (False, None)
        assert waiting.note == "Waits in the launch queue acme/model-registry/gpus."
        assert (running.is_running, running.note) == (True, None)
        assert running.rows == [MetricRow(0, {"loss": 0.5})]
        assert ended.rows == [MetricRow(0, {"loss": 0.5}), MetricRow(2, {"loss": 0.25})]
        assert ended.ending == Ending(EndingKind.EXITED, exit_code=0, values={"loss": 0.25})

    async def test_taken_and_not_begun_is_not_running(self, executor, world):
        await executor.launch(build_launch())
        world.claim(is_begun=False)

        for _ in range(3):
            seen = await executor.look(build_launch())

        assert (seen.is_running, seen.ending) == (False, None)
        assert seen.note == "A launch agent has taken it; its run has not begun yet."

    async def test_rows_come_from_the_cursor_on_and_again(self, executor, world, clock):
        launch = build_launch()
        run = await begin(executor, world, launch)
        for loss in (0.5, 0.25, 0.125):
            run.log(loss=loss)
        rows = (await executor.look(launch)).rows

        assert len(rows) == 3
        for each in (executor, Worker(world, clock)):
            for cursor in (2, 0, 3, 1):
                assert (await each.look(launch, cursor)).rows == rows[cursor:]

    async def test_adopted_attempt_goes_on(self, executor, world, clock):
        launch = build_launch()
        run = await begin(executor, world, launch)
        run.log(loss=0.5)
        await executor.look(launch)

        other = Worker(world, clock)
        assert await other.poll([Watch(launch)]) == {}
        adopted = await other.look(launch)
        run.end("finished")

        assert adopted.is_running
        assert len(adopted.rows) == 1
        assert (await see_end(other, launch)).values == {"loss": 0.5}
        assert world.calls["push_queue_item"] == 1

    @pytest.mark.parametrize(
        ("value", "expected"), [("last", 0.75), ("best", 0.25), ("summary", 0.3)]
    )
    async def test_values(self, executor, world, value, expected):
        launch = build_launch(value=value)
        run = await begin(executor, world, launch)
        for loss in (0.5, 0.25, math.nan, 0.75):
            run.log(loss=loss)
        run.summary = {"loss": {"min": 0.3}, "_wandb": {"runtime": 3}}
        run.end("finished")

        assert (await see_end(executor, launch)).values == {"loss": expected}

    async def test_steps_of_a_metric(self, executor, world):
        launch = build_launch(step_metric="epoch")
        run = await begin(executor, world, launch)
        run.log(loss=0.5, epoch=0)
        run.log(loss=0.25, epoch=10)
        run.log(loss=0.125)

        seen = await executor.look(launch)

        assert [row.step for row in seen.rows] == [0, 10, 2]

    async def test_history_is_read_only_where_it_grew(self, executor, world):
        launch = build_launch()
        run = await begin(executor, world, launch)
        world.calls.clear()
        run.log(loss=0.5)
        for _ in range(4):
            await executor.look(launch)
        assert world.calls == {"find_runs": 4, "read_history": 1}

        run.log(loss=0.25)
        for _ in range(4):
            seen = await executor.look(launch)
        assert world.calls["read_history"] == 2
        assert len(seen.rows) == 2

    async def test_long_history_is_read_piece_by_piece(self, executor, world):
        launch = build_launch()
        run = await begin(executor, world, launch)
        world.steps_at_once = 2
        for step in range(45):
            run.log(loss=100.0 - step)
        world.calls.clear()

        running = await executor.look(launch)
        run.end("finished")
        world.lose_answer("read_history")
        lost = await executor.look(launch)
        reading = await executor.look(launch)
        ended = await executor.look(launch)

        assert (running.is_running, len(running.rows)) == (True, 20)
        assert (lost.ending, len(lost.rows)) == (None, 20)
        assert (reading.ending, len(reading.rows)) == (None, 40)
        assert [row.step for row in ended.rows] == list(range(45))
        assert ended.ending == Ending(EndingKind.EXITED, exit_code=0, values={"loss": 56.0})
        assert world.calls["read_history"] == 10 + 1 + 10 + 3

    async def test_one_request_for_all_runs_of_a_project(self, executor, world):
        launches = [build_launch(number) for number in range(8)]
        for launch in launches:
            await executor.launch(launch)
        for _ in range(3):
            world.claim()
        world.calls.clear()

        await executor.poll([Watch(launch) for launch in launches])
        await settle()
        seen = await executor.poll([Watch(launch) for launch in launches])

        assert sum(each.is_running for each in seen.values()) == 3
        assert world.calls == {"find_runs": 1, "list_queue_items": 1}

    async def test_between_ticks_nobody_is_asked(self, world, clock):
        executor = Worker(world, clock, tick_seconds=10)
        run = await begin(executor, world, build_launch())
        await executor.look(build_launch())
        world.calls.clear()

        clock.seconds += 9
        run.log(loss=0.5)
        assert (await executor.look(build_launch())).rows == []
        assert world.calls == {}
        clock.seconds += 1
        assert len((await executor.look(build_launch())).rows) == 1

        await executor.stop(build_launch(), StopKind.GRACEFUL)
        run.end("failed")
        clock.seconds += 5
        assert (await executor.look(build_launch())).ending is not None

    async def test_away_and_back(self, executor, world):
        launch = build_launch()
        run = await begin(executor, world, launch)
        await executor.look(launch)
        world.is_away = True
        run.end("finished")

        for _ in range(3):
            seen = await executor.look(launch)
        assert (seen.is_running, seen.ending) == (True, None)
        assert seen.note == "W&B at api.example.org has not answered for a while."

        world.is_away = False
        assert (await see_end(executor, launch)).exit_code == 0

    async def test_end_waits_for_the_last_rows(self, executor, world):
        launch = build_launch()
        run = await begin(executor, world, launch)
        run.log(loss=0.5)
        run.end("finished")
        world.lose_answer("read_history")

        assert (await executor.look(launch)).ending is None
        assert (await see_end(executor, launch)).values == {"loss": 0.5}


class TestEnds(LaunchTests):
    @pytest.mark.parametrize(
        ("state", "kind", "exit_code"),
        [
            ("finished", EndingKind.EXITED, 0),
            ("failed", EndingKind.FAILED, None),
            ("killed", EndingKind.CANCELLED, None),
            ("preempted", EndingKind.PREEMPTED, None),
        ],
    )
    async def test_states_of_runs(self, executor, world, state, kind, exit_code):
        launch = build_launch()
        run = await begin(executor, world, launch)
        run.log(loss=0.5)
        run.end(state)

        ending = await see_end(executor, launch)

        assert (ending.kind, ending.exit_code) == (kind, exit_code)
        assert ending.values == {"loss": 0.5}
        assert bool(ending.message) == (state != "finished")

    async def test_item_that_failed_says_why(self, executor, world):
        launch = build_launch()
        await executor.launch(launch)
        (item,) = world.items.values()
        item.state, item.message = "failed", "ImagePullBackOff"

        ending = await see_end(executor, launch)

        assert ending.kind is EndingKind.NOT_STARTED
        assert ending.message == "The launch agent could not start it: ImagePullBackOff"
        assert executor.url(PATH) is None

    async def test_item_that_is_gone_has_vanished_at_the_second_look(self, executor, world):
        launch = build_launch()
        await executor.launch(launch)
        world.items.clear()

        assert (await executor.look(launch)).ending is None
        assert (await see_end(executor, launch)).kind is EndingKind.VANISHED

    async def test_item_out_of_sight_is_not_gone(self, executor, world):
        launch = build_launch()
        await executor.launch(launch)
        world.items.clear()
        world.is_readable_to_the_end = False

        for _ in range(4):
            assert (await executor.look(launch)).ending is None

    async def test_deleted_run_has_vanished(self, executor, world):
        launch = build_launch()
        run = await begin(executor, world, launch)
        run.log(loss=0.5)
        await executor.look(launch)
        world.runs.clear()
        world.items.clear()

        ending = await see_end(executor, launch)

        assert (ending.kind, ending.values) == (EndingKind.VANISHED, {"loss": 0.5})

    async def test_resumed_run_that_nobody_goes_on_with_is_still_preempted(self, executor, world):
        run = await begin(executor, world, build_launch())
        run.end("preempted")
        launch = resume(build_launch())
        await executor.launch(launch)
        world.items.clear()

        assert (await see_end(executor, launch)).kind is EndingKind.PREEMPTED
