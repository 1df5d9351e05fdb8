"""Runs of so many rows that they are told in parts."""

import math

import pytest

from service.schedulers.executors.base import MOST_ROWS, Launch, MetricRow
from service.schedulers.executors.wandb.agents.agent_runs import AgentRun
from service.schedulers.executors.wandb.queue.launch_api import Queue
from service.schedulers.executors.wandb.queue.launched_runs import LaunchedRun
from service.schedulers.executors.wandb.runs.metric_rows import MetricRows
from service.schedulers.executors.wandb.runs.run_api import RunView
from service.schedulers.executors.wandb.runs.runs import RunPath
from tests.unit.launch_worker import LaunchTests, begin, build_launch

ROWS = 2 * MOST_ROWS + 500


def launch_run(launch: Launch) -> LaunchedRun:
    return LaunchedRun(launch, RunPath("acme", "mnist", "run"), Queue("acme", "own", "gpus"))


def enqueue_run(launch: Launch) -> AgentRun:
    run = AgentRun(launch, None)
    run.take_in(RunView("finished", {}, ROWS, is_stopped=False), 0.0)
    return run


@pytest.mark.parametrize("open_run", [launch_run, enqueue_run])
def test_a_sighting_holds_one_more_than_can_be_told(open_run):
    run = open_run(build_launch())
    for step in range(ROWS):
        run.metrics.add({"loss": 1.0}, step)

    parts = [run.build_sighting(cursor).rows for cursor in range(0, ROWS, MOST_ROWS)]

    assert [len(part) for part in parts] == [MOST_ROWS + 1, MOST_ROWS + 1, 500]
    assert [part[0].step for part in parts] == [0, MOST_ROWS, 2 * MOST_ROWS]


class TestLaunched(LaunchTests):
    async def test_end_is_seen_with_each_part(self, executor, world):
        launch = build_launch()
        run = await begin(executor, world, launch)
        for _ in range(ROWS):
            run.log(loss=1.0)
        run.end("finished")

        looks = [await executor.look(launch, cursor) for cursor in range(0, ROWS, MOST_ROWS)]

        assert [len(look.rows) for look in looks] == [MOST_ROWS + 1, MOST_ROWS + 1, 500]
        assert [look.ending for look in looks] == [looks[0].ending] * 3
        assert looks[0].ending is not None


@pytest.mark.parametrize(
    "part", [slice(None), slice(3, 7), slice(8, 100), slice(20, 30), slice(None, None, 3)]
)
def test_parts_are_made_of_the_same_rows(part: slice):
    rows = MetricRows(("loss", "accuracy"))
    for step in range(10):
        known = {"loss": step / 3, "accuracy": math.inf}
        rows.append(2 * step, known if step % 2 else {"loss": step / 3})

    assert rows[part] == [rows[index] for index in range(*part.indices(10))]
    assert rows[3] == MetricRow(6, {"loss": 1.0, "accuracy": math.inf})
