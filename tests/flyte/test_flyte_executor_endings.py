"""How attempts that are executions are followed and ended, without programs."""

import asyncio
import math
import time
from collections.abc import Iterator

import grpc
import pytest

from service.domain.attempts import Ending, EndingKind
from service.domain.flyte import build_execution_name
from service.schedulers.executors.base import Launch, StopKind, Watch
from service.schedulers.executors.flyte.executor import FlyteExecutor
from tests.flyte.executor_bench import Bench, see, see_end
from tests.flyte.executor_bench import bench as bench
from tests.flyte_admin.admin import DOMAIN, PROJECT
from tests.flyte_admin.records import OutputsGiven

pytestmark = pytest.mark.asyncio(loop_scope="module")

STOPPED = Ending(
    EndingKind.PREEMPTED,
    message="It was ended. Asktell: it is not wanted any more.",
    values={},
)

WITHOUT_OUTPUTS = {
    "not": "Flyte does not give its outputs.",
    "by URL": "Where Flyte keeps its outputs they cannot be read.",
}


@pytest.fixture(autouse=True)
def _clear(bench: Bench) -> Iterator[None]:
    yield
    bench.clear()


async def begin(bench: Bench, executor: FlyteExecutor, **arguments: object) -> Launch:
    """An attempt at work, as its executor knows."""
    launch = bench.build_launch(**arguments)
    await executor.launch(launch)
    await see(executor, launch, lambda seen: seen.is_running)
    return launch


def name(launch: Launch) -> str:
    return build_execution_name(launch.attempt_id)


async def look_once(executor: FlyteExecutor, *launches: Launch) -> None:
    """Has an executor look that has not launched them, and looks only once."""
    watches = [Watch(launch) for launch in launches]
    while True:
        if len(await executor.poll(watches)) == len(launches):
            return
        await asyncio.sleep(0.01)


class TestValues:
    @pytest.mark.parametrize(
        ("outputs", "values"),
        [
            ({"o0": 0.0, "size": 3, "o2": 7.5}, {"loss": 0.0, "size": 3.0, "speed": 7.5}),
            ({"o0": math.inf, "size": 3, "o2": -1.0}, {"loss": math.inf, "size": 3, "speed": -1}),
            # Propeller would not let it come to this; the server calls such a trial failed.
            ({"size": 3}, {"size": 3.0}),
        ],
    )
    async def test_outputs_are_values(
        self, bench: Bench, outputs: dict[str, float], values: dict[str, float]
    ) -> None:
        bench.admin.plant_task(
            "many",
            inputs={"x": float},
            outputs={"o0": float, "size": int, "o2": float},
            version=f"v{len(outputs)}{outputs.get('o0')}",
        )
        executor = bench.open_executor()
        launch = bench.build_launch(
            metrics=("loss", "size", "speed"),
            task="many",
            version=f"v{len(outputs)}{outputs.get('o0')}",
        )
        await executor.launch(launch)
        bench.succeed(launch, **outputs)

        expected = Ending(EndingKind.EXITED, exit_code=0, values=values)
        assert await see_end(executor, launch) == expected
        assert await see_end(bench.open_executor(), launch) == expected

    async def test_an_output_may_be_nan(self, bench: Bench) -> None:
        executor, launch = bench.open_executor(), bench.build_launch()
        await executor.launch(launch)
        bench.succeed(launch, o0=math.nan)

        values = (await see_end(executor, launch)).values
        assert values is not None
        assert math.isnan(values["loss"])


class TestOutputsElsewhere:
    async def test_are_read_by_their_address(self, bench: Bench) -> None:
        executor = bench.open_executor()
        launch = await begin(bench, executor)
        bench.admin.give_outputs(name(launch), "by URL")
        bench.succeed(launch, o0=0.5)

        expected = Ending(EndingKind.EXITED, exit_code=0, values={"loss": 0.5})
        assert await see_end(executor, launch) == expected

    @pytest.mark.parametrize("how", ["not", "by URL"])
    async def test_are_waited_for(self, bench: Bench, how: OutputsGiven) -> None:
        executor = bench.open_executor()
        launch = await begin(bench, executor)
        bench.admin.give_outputs(name(launch), how)
        bench.admin.break_("download", grpc.StatusCode.UNAVAILABLE, times=None)
        bench.succeed(launch, o0=0.5)

        waiting = await see(executor, launch, lambda seen: seen.note is not None)
        assert waiting.is_running
        assert waiting.note == WITHOUT_OUTPUTS[how]

        bench.admin.recover()
        bench.admin.give_outputs(name(launch), "inline")
        assert (await see_end(executor, launch)).values == {"loss": 0.5}

    @pytest.mark.parametrize("how", ["not", "by URL"])
    async def test_are_given_up_at_last(self, bench: Bench, how: OutputsGiven) -> None:
        executor = bench.open_executor(tick_seconds=0.001)
        launch = await begin(bench, executor)
        bench.admin.give_outputs(name(launch), how)
        bench.admin.break_("download", grpc.StatusCode.UNAVAILABLE, times=None)
        bench.succeed(launch, o0=0.5)

        ending = await see_end(executor, launch)
        bench.admin.recover()
        assert ending == Ending(
            EndingKind.FAILED,
            message=(
                "It has succeeded in Flyte, but its outputs could not be read. "
                f"{WITHOUT_OUTPUTS[how]}"
            ),
            values={},
        )


class TestAborts:
    async def test_by_a_person(self, bench: Bench) -> None:
        executor = bench.open_executor()
        launch = await begin(bench, executor)
        bench.admin.abort(name(launch), "wrong data", "alice")

        for each in (executor, bench.open_executor()):
            assert await see_end(each, launch) == Ending(
                EndingKind.CANCELLED,
                message="It was aborted in Flyte by alice: wrong data",
                values={},
            )

    async def test_by_us_and_seen_by_another_worker(self, bench: Bench) -> None:
        executor = bench.open_executor()
        launch = await begin(bench, executor)

        for kind in StopKind:
            await executor.stop(launch, kind)
        assert bench.find(launch).abort_cause == "Asktell: it is not wanted any more."

        for each in (executor, bench.open_executor()):
            assert await see_end(each, launch) == STOPPED

    async def test_while_it_is_queued(self, bench: Bench) -> None:
        executor = bench.open_executor()
        # As many as run at a time.
        for _ in range(2):
            await begin(bench, executor)
        launch = bench.build_launch()
        await executor.launch(launch)
        waiting = await see(executor, launch, lambda seen: seen.note is not None)

        await executor.stop(launch, StopKind.GRACEFUL)

        assert waiting.note == "Waits in Flyte to be started."
        assert await see_end(executor, launch) == STOPPED

    async def test_before_the_launch(self, bench: Bench) -> None:
        executor, launch = bench.open_executor(), bench.build_launch()

        await executor.stop(launch, StopKind.GRACEFUL)
        await executor.launch(launch)

        assert await see_end(executor, launch) == Ending(
            EndingKind.NOT_STARTED, message="Stopped before it was started.", values={}
        )
        assert bench.list_executions(launch) == []

    async def test_of_what_is_there_only_later(self, bench: Bench) -> None:
        """A launch whose answer was lost may take effect after the stop."""
        executor, launch = bench.open_executor(), bench.build_launch()
        await executor.stop(launch, StopKind.GRACEFUL)
        await bench.open_executor().launch(launch)

        assert await see_end(executor, launch) == STOPPED

    async def test_too_late(self, bench: Bench) -> None:
        executor = bench.open_executor()
        launch = await begin(bench, executor)
        bench.succeed(launch, o0=0.5)
        bench.wait_for(launch, "SUCCEEDED")

        await executor.stop(launch, StopKind.GRACEFUL)

        assert await see_end(executor, launch) == Ending(
            EndingKind.EXITED, exit_code=0, values={"loss": 0.5}
        )

    async def test_by_the_time_limit(self, bench: Bench) -> None:
        early = bench.open_executor()
        launch = await begin(bench, early, timeout_seconds=60)
        with bench.count_calls() as calls:
            late = bench.open_executor(now=lambda: time.time() + 61)
            ending = await see_end(late, launch)

        assert ending.kind is EndingKind.TIMED_OUT
        assert calls["TerminateExecution"] == 1
        assert await see_end(early, launch) == ending

    async def test_by_flytes_own_time_limit(self, bench: Bench) -> None:
        executor = bench.open_executor()
        launch = await begin(bench, executor)
        bench.admin.time_out(name(launch))

        assert await see_end(executor, launch) == Ending(
            EndingKind.TIMED_OUT,
            message="It failed in Flyte (TimedOut): The execution took too long.",
            values={},
        )


async def test_failure_is_told_in_full(bench: Bench) -> None:
    """Lists have no more than its first hundred characters."""
    executor = bench.open_executor()
    launch = await begin(bench, executor)
    words = " ".join(["word"] * 100)
    bench.admin.fail(name(launch), words, code="RetriesExhausted|SYSTEM")

    ending = await see_end(executor, launch)
    assert ending.kind is EndingKind.FAILED
    assert ending.message == f"It failed in Flyte (RetriesExhausted|SYSTEM): {words}"


async def test_what_flyte_has_lost_has_vanished(bench: Bench) -> None:
    executor = bench.open_executor()
    launch = await begin(bench, executor)
    record = bench.find(launch)
    with bench.admin.world.lock:
        del bench.admin.world.executions[PROJECT, DOMAIN, record.name]
        record.aborting.set()

    ending = await see_end(executor, launch)
    assert ending.kind is EndingKind.VANISHED
    assert ending.message == "Flyte does not know its execution any more."


class TestLooks:
    async def test_many_attempts_take_few_calls(self, bench: Bench) -> None:
        launches = [bench.build_launch() for _ in range(250)]
        starting = bench.open_executor()
        for launch in launches:
            await starting.launch(launch)
        for launch in launches[:2]:
            bench.wait_for(launch, "RUNNING")
        bench.succeed(launches[0], o0=0.5)
        bench.wait_for(launches[0], "SUCCEEDED")

        executor = bench.open_executor(tick_seconds=1e9)
        with bench.count_calls() as calls:
            await look_once(executor, *launches)

        assert calls == {"ListExecutions": 3, "GetExecution": 1, "GetExecutionData": 1}
        seen = await executor.poll([Watch(launch) for launch in launches])
        assert [seen[launch.attempt_id].ending is None for launch in launches[:3]] == [
            False,
            True,
            True,
        ]

    async def test_nothing_is_asked_before_it_is_due(self, bench: Bench) -> None:
        launch = await begin(bench, bench.open_executor())
        executor = bench.open_executor(tick_seconds=1e9)
        await look_once(executor, launch)

        with bench.count_calls() as calls:
            for _ in range(20):
                await executor.poll([Watch(launch)])
                await asyncio.sleep(0.001)

        assert calls == {}

    async def test_nothing_is_asked_of_what_has_ended_or_nobody_watches(self, bench: Bench) -> None:
        executor = bench.open_executor()
        launch = await begin(bench, executor)
        bench.succeed(launch, o0=0.5)
        await see_end(executor, launch)

        with bench.count_calls() as calls:
            for _ in range(20):
                await executor.poll([])
                await executor.poll([Watch(launch)])
                await asyncio.sleep(0.001)

        assert calls == {}
