"""What counts of a run that goes on where a preempted attempt had to leave off."""

import math
from typing import Any

import pytest

from service.domain.attempts import EndingKind
from service.schedulers.executors.base import Launch, MetricRow
from service.schedulers.executors.wandb.runs.run_metrics import RunMetrics
from tests.unit.launch_worker import (
    Clock,
    LaunchTests,
    Worker,
    begin,
    build_launch,
    resume,
    see_end,
)
from tests.unit.launch_world import LaunchWorld, Run


async def preempt(executor: Worker, world: LaunchWorld, *losses: float, **arguments: Any) -> Run:
    """Has a first attempt log these, and leave off; returns its run."""
    launch = build_launch(**arguments)
    run = await begin(executor, world, launch)
    for loss in losses:
        run.log(loss=loss)
    run.end("preempted")
    await see_end(executor, launch)
    return run


async def go_on(executor: Worker, world: LaunchWorld, **arguments: Any) -> Launch:
    launch = resume(build_launch(**arguments))
    await executor.launch(launch)
    world.claim()
    return launch


class TestLaunched(LaunchTests):
    @pytest.mark.parametrize(("value", "expected"), [("last", 0.5), ("best", 0.1)])
    async def test_earlier_rows_have_values_and_are_no_reports(
        self, executor, world, value, expected
    ):
        run = await preempt(executor, world, 0.1, 0.3, value=value)
        launch = await go_on(executor, world, value=value)
        run.log(loss=0.5)

        running = await executor.look(launch)
        run.end("finished")
        ended = await executor.look(launch)

        assert running.rows == ended.rows == [MetricRow(2, {"loss": 0.5})]
        assert ended.ending.values == {"loss": expected}

    async def test_what_began_before_the_first_look_is_reported(self, executor, world):
        run = await preempt(executor, world, 0.1, 0.3)
        launch = await go_on(executor, world)
        run.log(loss=0.5)
        run.log(loss=0.4)

        assert [row.step for row in (await executor.look(launch)).rows] == [2, 3]

    @pytest.mark.parametrize("value", ["last", "best"])
    async def test_nothing_more_is_logged(self, executor, world, value):
        run = await preempt(executor, world, 0.1, value=value)
        launch = await go_on(executor, world, value=value)
        run.end("finished")

        ending = await see_end(executor, launch)

        assert (ending.kind, ending.values) == (EndingKind.EXITED, {"loss": 0.1})
        assert (await executor.look(launch)).rows == []

    async def test_minimum_of_the_summary_is_that_of_both_parts(self, executor, world):
        run = await preempt(executor, world, 0.1, 0.3, value="summary")
        run.summary = {"loss": {"min": 0.1}}
        launch = await go_on(executor, world, value="summary")
        run.log(loss=0.5)
        # As wandb leaves it.
        run.summary = {"loss": {"min": 0.5}}
        run.end("finished")

        assert (await see_end(executor, launch)).values == {"loss": 0.1}

    async def test_earlier_history_in_many_pieces(self, executor, world):
        run = await preempt(executor, world, *range(45), value="best")
        world.steps_at_once = 2
        launch = await go_on(executor, world, value="best")
        run.log(loss=50.0)

        looks = [await executor.look(launch) for _ in range(3)]

        assert [[row.step for row in look.rows] for look in looks] == [[], [], [45]]

    async def test_adopted_at_work(self, executor, world, clock: Clock):
        run = await preempt(executor, world, 0.1, value="best")
        launch = await go_on(executor, world, value="best")
        run.log(loss=0.5)
        await executor.look(launch)

        other = Worker(world, clock)
        adopted = await other.look(launch)
        run.log(loss=0.4)
        later = await other.look(launch)
        run.end("finished")

        # The worker before has reported what was there.
        assert adopted.rows == []
        assert later.rows == [MetricRow(2, {"loss": 0.4})]
        assert (await see_end(other, launch)).values == {"loss": 0.1}

    async def test_adopted_before_it_is_at_work(self, executor, world, clock: Clock):
        run = await preempt(executor, world, 0.1)
        launch = resume(build_launch())
        await executor.launch(launch)
        other = Worker(world, clock)
        await other.look(launch)
        world.claim()
        run.log(loss=0.5)

        assert (await other.look(launch)).rows == [MetricRow(1, {"loss": 0.5})]


def build_metrics(value: str, direction: str = "minimize") -> RunMetrics:
    metrics = RunMetrics(("loss",), (direction,), value=value)
    metrics.earlier = RunMetrics(("loss",), (direction,), value=value, max_rows=0)
    return metrics


def test_number_of_one_part_is_better_than_nan_of_the_other():
    metrics = build_metrics("best")
    assert metrics.earlier is not None
    metrics.earlier.add({"loss": math.nan}, 0)
    assert math.isnan(metrics.list_values()["loss"])

    metrics.add({"loss": 2.0}, 1)
    assert metrics.list_values() == {"loss": 2.0}


@pytest.mark.parametrize(
    ("direction", "earlier", "later", "expected"),
    [
        ("minimize", {"min": 1.0}, {"min": 2.0}, 1.0),
        ("maximize", {"max": 1.0}, {"max": 2.0}, 2.0),
        ("maximize", {"max": 3.0}, {"max": 2.0}, 3.0),
        ("minimize", {"max": 3.0}, {"max": 2.0}, 3.0),
        ("maximize", {"best": 3.0}, {"best": 2.0}, 3.0),
        ("minimize", {"best": 3.0}, {"best": 2.0}, 2.0),
        ("minimize", {"min": math.nan}, {"min": 2.0}, 2.0),
        ("minimize", {"min": 1.0}, {"last": 2.0}, 2.0),
        ("minimize", {"last": 1.0}, {"last": 2.0}, 2.0),
        ("minimize", 1.0, 2.0, 2.0),
        ("minimize", 1.0, None, 1.0),
        ("minimize", None, 2.0, 2.0),
    ],
)
def test_summaries_of_two_parts(direction: str, earlier: Any, later: Any, expected: float):
    metrics = build_metrics("summary", direction)
    assert metrics.earlier is not None
    metrics.earlier.summary.replace({"loss": earlier})
    metrics.summary.replace({"loss": later})

    assert metrics.list_values() == {"loss": expected}
