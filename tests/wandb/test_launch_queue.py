"""The executor wandb-launch by the real SDK, whose W&B is the stand-in."""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import pytest_asyncio

from service.domain.attempts import Ending, EndingKind
from service.schedulers.executors.base import (
    ErrorKind,
    Launch,
    MetricRow,
    StopKind,
    SweepRefused,
    Watch,
)
from service.schedulers.executors.connection.connection import (
    SystemAway,
    SystemConnection,
    SystemRefused,
)
from service.schedulers.executors.wandb.connection.system import describe_wandb
from service.schedulers.executors.wandb.queue.launch_api import LaunchQueueApi
from service.schedulers.executors.wandb.queue.launch_executor import WandbLaunchExecutor
from service.schedulers.executors.wandb.runs.run_api import WandbApi
from service.schedulers.executors.wandb.runs.run_settings import RunSettings
from tests.contracts.executor_contract import watch_until
from tests.wandb.programs import PATIENCE_SECONDS, isolate
from tests.wandb_backend import Backend

pytestmark = [pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="module")]

SECRET = "a-token-of-this-attempt"
PROGRAM = """
import wandb
with wandb.init(project="another", id="another", config={"lr": 9}) as run:
    assert run.config["lr"] == 0.1 and run.config["optimizer"]["name"] == "adam"
    run.log({"val": {"loss": 0.5}})
    run.log({"val": {"loss": float("nan")}})
    run.log({"val": {"loss": 0.25}})
"""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def connection(
    backend: Backend, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[SystemConnection]:
    """One for all tests, for each start of wandb costs seconds; without pauses after failures."""
    folder = str(tmp_path_factory.mktemp("wandb"))
    folders = {f"WANDB_{name}_DIR": folder for name in ("CACHE", "CONFIG", "DATA")}
    environment = {"HOME": folder, **folders, **backend.build_environment()}
    connection = SystemConnection(describe_wandb(environment), chance=lambda: 0.0)
    backend.plant_job("train")
    backend.plant_queue("gpus")
    yield connection
    await connection.close()


@pytest.fixture
def executor(connection: SystemConnection, backend: Backend) -> Iterator[WandbLaunchExecutor]:
    yield open_executor(connection, backend)
    backend.recover()


def open_executor(
    connection: SystemConnection,
    backend: Backend,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> WandbLaunchExecutor:
    settings = RunSettings(
        environment=backend.build_environment(),
        tick_seconds=0.2,
        soonest_seconds=0.1,
        clock=clock,
    )
    return WandbLaunchExecutor(WandbApi(connection), LaunchQueueApi(connection), settings)


def build_launch(number: int, **arguments: Any) -> Launch:
    """Each test has numbers of its own."""
    attempt_id = f"k3v9x2ab-{number}-1"
    return Launch(
        attempt_id,
        run_id=attempt_id,
        study="digits",
        trial=number,
        attempt=1,
        params={"lr": 0.1, "optimizer": {"name": "adam"}},
        metrics=("val.loss",),
        directions=("minimize",),
        arguments={
            "job": "acme/mnist/train:latest",
            "launch_queue": "gpus",
            "project": "mnist",
            "value": "last",
            **arguments,
        },
        environment={"ASKTELL_TOKEN": SECRET},
    )


def path(launch: Launch) -> str:
    return f"acme/mnist/{launch.run_id}"


@contextmanager
def count_requests(backend: Backend) -> Iterator[Counter[str]]:
    before, during = backend.requests, Counter[str]()
    yield during
    during.update(backend.requests - before)


async def see_end(executor: WandbLaunchExecutor, launch: Launch) -> Ending:
    seen = await watch_until(executor, Watch(launch), lambda seen: seen.ending is not None)
    assert seen.ending is not None
    return seen.ending


async def test_an_agent_runs_what_was_pushed(
    executor: WandbLaunchExecutor,
    connection: SystemConnection,
    backend: Backend,
    wandb_environment: dict[str, str],
) -> None:
    launch = build_launch(
        1, priority=1, template_variables={"gpus": 2}, entry_point=[sys.executable, "-c", PROGRAM]
    )
    reference = await executor.launch(launch)
    waiting = (await executor.poll([Watch(launch)]))[launch.attempt_id]
    assert executor.url(reference) is None

    (item,) = backend.items
    with backend.run_next("gpus", [], isolate(wandb_environment)) as program:
        output, _ = program.communicate(timeout=PATIENCE_SECONDS)
    assert program.returncode == 0, output
    seen = await watch_until(executor, Watch(launch), lambda seen: seen.ending is not None)
    adopted = await watch_until(
        open_executor(connection, backend), Watch(launch), lambda seen: seen.ending is not None
    )

    assert reference == path(launch)
    assert executor.url(reference) == f"{backend.url}/acme/mnist/runs/k3v9x2ab-1-1"
    assert waiting.note == "Waits in the launch queue acme/model-registry/gpus."
    assert (item.priority, item.template_variables) == (1, {"gpus": 2})
    assert SECRET not in json.dumps(item.spec)
    assert os.environ.get("WANDB_PROJECT") is None
    run = backend.runs[path(launch)]
    assert run.display_name == "trial-1"
    assert run.params["asktell"] == {"study": "digits", "trial": 1, "attempt": 1}
    assert seen.ending == Ending(EndingKind.EXITED, exit_code=0, values={"val.loss": 0.25})
    assert [row.step for row in seen.rows] == [0, 1, 2]
    assert seen.rows[2] == MetricRow(2, {"val.loss": 0.25})
    assert repr(adopted) == repr(seen)


async def test_what_is_missing_ends_the_sweep_and_nothing_is_pushed(
    executor: WandbLaunchExecutor, backend: Backend
) -> None:
    with count_requests(backend) as requests:
        for number, arguments, message in (
            (50, {"job": "acme/mnist/missing:latest"}, "no job acme/mnist/missing:latest"),
            (51, {"launch_queue": "missing"}, "no launch queue acme/model-registry/missing"),
        ):
            with pytest.raises(SweepRefused, match=message):
                await executor.launch(build_launch(number, **arguments))
    assert requests["pushToRunQueueByName"] == 0


async def test_a_key_that_may_not_push_is_waited_for(
    executor: WandbLaunchExecutor, backend: Backend
) -> None:
    backend.fail("pushToRunQueueByName", [403] * 2)

    with pytest.raises(SystemRefused, match="W&B refuses this worker: ") as failure:
        await executor.launch(build_launch(52))
    assert executor.classify(failure.value) is ErrorKind.TRANSIENT
    assert failure.value.is_about_key
    backend.recover()

    await executor.launch(build_launch(52))
    assert len(_list_items(backend, build_launch(52))) == 1


async def test_a_push_whose_answer_was_lost_is_there_once(
    executor: WandbLaunchExecutor, backend: Backend
) -> None:
    launch = build_launch(3)
    # The SDK itself tries again after the first.
    backend.lose("pushToRunQueueByName", 2)

    with pytest.raises(SystemAway) as failure:
        await executor.launch(launch)
    assert executor.classify(failure.value) is ErrorKind.TRANSIENT
    assert len(_list_items(backend, launch)) == 2
    await executor.launch(launch)

    assert len(_list_items(backend, launch)) == 1


async def test_attempts_are_looked_at_together(
    executor: WandbLaunchExecutor, backend: Backend
) -> None:
    """None of them was launched by this worker."""
    states = ["running", "finished", "failed", "killed", "preempted"]
    launches = [build_launch(number) for number in range(10, 15)]
    for launch, state in zip(launches, states, strict=True):
        backend.plant_run(launch.run_id, state=state, rows=[{"val.loss": 0.5}, {"other": 1}])
    watches = [Watch(launch) for launch in launches]

    with count_requests(backend) as requests:
        for launch in launches[1:]:
            await executor.poll(watches)
            await see_end(executor, launch)
        seen = await executor.poll(watches)

    assert [each.ending and each.ending.kind for each in seen.values()] == [
        None,
        EndingKind.EXITED,
        EndingKind.FAILED,
        EndingKind.CANCELLED,
        EndingKind.PREEMPTED,
    ]
    assert all(list(each.rows) == [MetricRow(0, {"val.loss": 0.5})] for each in seen.values())
    assert requests["GetRunQueueItems"] == 0
    assert requests["RunSampledHistory"] == len(launches)


async def test_what_an_agent_cannot_start_says_why(
    executor: WandbLaunchExecutor, backend: Backend
) -> None:
    launch = build_launch(20, job=None, image="train:1")
    _empty_queue(backend)
    await executor.launch(launch)
    backend.fail_next("gpus", "ImagePullBackOff")

    ending = await see_end(executor, launch)

    assert ending.kind is EndingKind.NOT_STARTED
    assert ending.message == "The launch agent could not start it: ImagePullBackOff"


async def test_stopped_while_it_waits_and_while_it_runs(
    executor: WandbLaunchExecutor, connection: SystemConnection, backend: Backend
) -> None:
    waiting, running = build_launch(30), build_launch(31)
    await executor.launch(waiting)
    run = backend.plant_run(running.run_id)

    await executor.stop(waiting, StopKind.GRACEFUL)
    for each in (executor, open_executor(connection, backend)):
        await each.stop(running, StopKind.GRACEFUL)
    assert _list_items(backend, waiting) == []
    assert run.is_stopped
    run.end(255)

    assert (await see_end(executor, waiting)).message == "Stopped before it was started."
    ending = await see_end(executor, running)
    assert (ending.kind, ending.exit_code) == (EndingKind.FAILED, None)


async def test_what_is_cut_off_is_told_to_end_before_it_is_lost(
    connection: SystemConnection, backend: Backend
) -> None:
    skipped = [0.0]
    executor = open_executor(connection, backend, clock=lambda: time.monotonic() + sum(skipped))
    heard, lost = build_launch(60), build_launch(61)
    runs = [backend.plant_run(launch.run_id, state="crashed") for launch in (heard, lost)]
    for launch in (heard, lost):
        waiting = await watch_until(executor, Watch(launch), lambda seen: seen.note is not None)
        assert "has not heard of it for minutes" in waiting.note
    with backend.world.lock:
        runs[0].beat(backend.world.clock())
    await watch_until(executor, Watch(heard), lambda seen: seen.is_running)

    skipped.append(301.0)
    ending = await see_end(executor, lost)

    assert ending.kind is EndingKind.VANISHED
    assert [run.is_stopped for run in runs] == [False, True]
    assert (await executor.poll([Watch(heard)]))[heard.attempt_id].is_running


async def test_away_and_back(executor: WandbLaunchExecutor, backend: Backend) -> None:
    launch = build_launch(40)
    run = backend.plant_run(launch.run_id)
    await watch_until(executor, Watch(launch), lambda seen: seen.is_running)

    backend.go_down()
    run.end(0)
    away = await watch_until(executor, Watch(launch), lambda seen: seen.note is not None)
    backend.come_back()
    ending = await see_end(executor, launch)

    assert away.is_running
    assert ending.exit_code == 0


def _list_items(backend: Backend, launch: Launch) -> list[Any]:
    return [item for item in backend.items if item.spec["run_id"] == launch.run_id]


def _empty_queue(backend: Backend) -> None:
    with backend.world.lock:
        backend.world.items.clear()
