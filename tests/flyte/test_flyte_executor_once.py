"""Each attempt is one execution, whoever launches it, how often, and whatever answers get lost."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import grpc
import pytest
import pytest_asyncio
from flytekit.core.options import Options
from flytekit.models.common import Labels

from service.schedulers.executors.base import ErrorKind, LaunchRefused
from service.schedulers.executors.connection.connection import (
    Connection,
    SystemAway,
    SystemConnection,
)
from tests.flyte.executor_bench import (
    PLANTED,
    Bench,
    build_worker_environment,
    open_connection,
    see,
)
from tests.flyte.executor_bench import bench as bench
from tests.flyte.remotes import open_remote
from tests.flyte_admin.admin import VERSION

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(autouse=True)
def _clear(bench: Bench) -> Iterator[None]:
    yield
    bench.clear()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def other(
    bench: Bench, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[SystemConnection]:
    """Another worker's connection."""
    environment = build_worker_environment(bench.admin, tmp_path_factory.mktemp("home"))
    connection = open_connection(environment)
    yield connection
    await connection.close()


class Named:
    """A connection as it is."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def call(
        self, operation: str, arguments: dict[str, Any], *, deadline_seconds: float
    ) -> Any:
        return await self._connection.call(
            operation, self._change(operation, arguments), deadline_seconds=deadline_seconds
        )

    def _change(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return arguments


class Nameless(Named):
    """A connection whose launches give no name: Flyte makes one up each time."""

    def _change(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return arguments | {"name": ""} if operation == "launch" else arguments


# The second row shows that the tests would see a second execution.
either = pytest.mark.parametrize(("wrap", "count"), [(Named, 1), (Nameless, 2)])


@either
async def test_two_workers_at_the_same_time(
    bench: Bench, other: SystemConnection, wrap: type[Named], count: int
) -> None:
    launch = bench.build_launch()
    executors = [bench.open_executor(wrap(each)) for each in (bench.connection, other)]
    bench.admin.hang("CreateExecution", times=2)
    come = bench.admin.calls["CreateExecution"] + 2

    launching = [asyncio.create_task(each.launch(launch)) for each in executors]
    await bench.wait_for_calls("CreateExecution", come)
    bench.admin.recover()
    references = set(await asyncio.gather(*launching))

    assert len(references) == 1
    assert len(bench.list_executions(launch)) == count


@either
async def test_answer_that_was_lost(bench: Bench, wrap: type[Named], count: int) -> None:
    launch = bench.build_launch()
    executor = bench.open_executor(wrap(bench.connection))
    bench.admin.break_("CreateExecution", grpc.StatusCode.UNAVAILABLE, when="after")

    with pytest.raises(SystemAway) as failure:
        await executor.launch(launch)
    assert executor.classify(failure.value) is ErrorKind.TRANSIENT
    await executor.launch(launch)

    assert len(bench.list_executions(launch)) == count


@either
async def test_worker_that_starts_again(bench: Bench, wrap: type[Named], count: int) -> None:
    launch = bench.build_launch()
    for _ in range(2):
        await bench.open_executor(wrap(bench.connection)).launch(launch)

    assert len(bench.list_executions(launch)) == count


async def test_earlier_attempts_of_a_trial_are_ended(bench: Bench) -> None:
    """Of one that was given up nobody may know that its launch took effect."""
    earlier, ended = bench.build_launch(), bench.build_launch(attempt_id="k3v9x2ab-9000-1")
    for each in (earlier, ended):
        await bench.open_executor().launch(each)
    bench.succeed(ended, o0=0.5)
    bench.wait_for(ended, "SUCCEEDED")
    executor = bench.open_executor()
    for each in (earlier, ended):
        again = replace(each, attempt_id=f"{each.attempt_id[:-1]}3", attempt=3)
        await executor.launch(again)
        with bench.count_calls() as calls:
            await executor.launch(again)
        assert calls == {"CreateExecution": 1, "GetExecution": 1}
        bench.wait_for(again, "RUNNING")

    bench.wait_for(earlier, "ABORTED")
    assert bench.find(ended).phase == "SUCCEEDED"


async def test_launches_ask_little(bench: Bench) -> None:
    bench.admin.plant_task("cheap", inputs={"x": float}, outputs={"o0": float})
    executor = bench.open_executor()
    with bench.count_calls() as first:
        await executor.launch(bench.build_launch(task="cheap"))
    with bench.count_calls() as second:
        await executor.launch(bench.build_launch(task="cheap"))

    assert first == {"GetTask": 1, "CreateExecution": 1}
    assert second == {"CreateExecution": 1}


async def test_name_that_something_else_has_is_never_free_again(bench: Bench) -> None:
    launch = bench.build_launch()
    execute_by_hand(bench, f"asktell-{launch.attempt_id}")
    executor = bench.open_executor()

    with pytest.raises(LaunchRefused, match="and it is not this attempt's") as refusal:
        await executor.launch(launch)

    assert executor.classify(refusal.value) is ErrorKind.PERMANENT


async def test_what_a_person_launches_again_is_not_the_attempt(bench: Bench) -> None:
    """Flyte's pages copy the labels."""
    launch = bench.build_launch()
    await bench.open_executor().launch(launch)
    bench.wait_for(launch, "RUNNING")
    for number in range(3):
        again = f"again-{launch.attempt_id}-{number}"
        execute_by_hand(bench, again, labels=bench.find(launch).labels)
        bench.admin.fail(again, "No luck.")
        bench.admin.wait_for(again, "FAILED")

    with bench.count_calls() as calls:
        await see(bench.open_executor(), launch, lambda seen: seen.is_running)

    assert "GetExecution" not in calls


def execute_by_hand(bench: Bench, name: str, labels: dict[str, str] | None = None) -> None:
    remote = open_remote(bench.admin)
    task = remote.fetch_task(name=PLANTED, version=VERSION)
    options = Options(labels=Labels(labels or {"asktell-attempt": "other"}))
    remote.execute(task, {"x": 0.5}, execution_name=name, options=options)
