"""What a worker expects of any executor.

class TestMine(ExecutorContract):
    @pytest.fixture
    def stage(self) -> Iterator[Stage]: ...
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

import pytest

from service.domain.attempts import Ending, EndingKind, build_attempt_id
from service.schedulers.executors.base import (
    ErrorKind,
    Executor,
    Launch,
    LaunchRefused,
    MetricRow,
    Sighting,
    StillRunning,
    StopKind,
    Watch,
)

_DEADLINE_SECONDS = 30.0
_METRIC = "accuracy"


class Stage(Protocol):
    """Executors on one outside, and programs there that do what they are told.

    A program runs until it is told to end, and leaves at the first request to stop.
    """

    def open(self) -> Executor:
        """Returns another executor on the same outside, as a worker that was started again."""

    def build_launch(self, attempt_id: str) -> Launch:
        """Returns a launch whose metric is `accuracy`."""

    def build_refused(self, attempt_id: str) -> Launch:
        """Returns a launch that can never start."""

    def end(self, attempt_id: str, exit_code: int) -> None:
        """Has a running program end."""

    def count_executions(self, attempt_id: str) -> int:
        """Returns how often the program was started."""


class LocalStage(Stage, Protocol):
    """Such programs where they can be watched while they run."""

    def report(self, attempt_id: str, value: float, step: int) -> None:
        """Has a running program give its metric."""

    def print(self, attempt_id: str, text: str) -> None:
        """Has a running program print one line."""

    def vanish(self, attempt_id: str) -> None:
        """Ends a running program, and all that could tell how."""


class ExecutorContract:
    """What holds of all of them."""

    @pytest.fixture
    def executor(self, stage: Stage) -> Executor:
        return stage.open()

    async def test_launch_gives_a_reference_with_the_attempts_name(
        self, stage: Stage, executor: Executor
    ):
        launch = await _launch(stage, executor)

        reference = await executor.launch(launch)

        assert launch.attempt_id in reference
        await _see_running(executor, launch)

    async def test_repeated_launch_executes_once(self, stage: Stage, executor: Executor):
        launch = await _launch(stage, executor)
        references = {await executor.launch(launch) for _ in range(3)}

        await _end(stage, executor, launch)

        assert len(references) == 1
        assert stage.count_executions(launch.attempt_id) == 1

    async def test_concurrent_launches_execute_once(self, stage: Stage, executor: Executor):
        launch = stage.build_launch(_name())
        others = [stage.open() for _ in range(3)]

        await asyncio.gather(*(one.launch(launch) for one in (executor, *others)))
        await _end(stage, executor, launch)

        assert stage.count_executions(launch.attempt_id) == 1

    async def test_launch_after_the_end_executes_nothing(self, stage: Stage, executor: Executor):
        launch = await _launch(stage, executor)
        ending = await _end(stage, executor, launch)

        later = stage.open()
        await later.launch(launch)

        assert stage.count_executions(launch.attempt_id) == 1
        for looking in (executor, later):
            assert await _see_ending(looking, launch) == ending

    async def test_what_runs_goes_on_in_the_next_life(self, stage: Stage, executor: Executor):
        launch = await _launch(stage, executor)

        later = stage.open()
        await later.launch(launch)
        await _see_running(later, launch)
        ending = await _end(stage, later, launch)

        assert (ending.kind, ending.exit_code) == (EndingKind.EXITED, 0)
        assert stage.count_executions(launch.attempt_id) == 1

    async def test_refused_launch_is_permanent_and_leaves_nothing(
        self, stage: Stage, executor: Executor
    ):
        launch = stage.build_refused(_name())

        with pytest.raises(LaunchRefused) as refusal:
            await executor.launch(launch)

        assert executor.classify(refusal.value) is ErrorKind.PERMANENT
        assert str(refusal.value)
        assert stage.count_executions(launch.attempt_id) == 0
        assert await executor.list_left_over(()) == []

    async def test_several_attempts_are_looked_at_together(self, stage: Stage, executor: Executor):
        launches = [await _launch(stage, executor, number) for number in range(3)]

        seen = await executor.poll([Watch(launch) for launch in launches])

        assert set(seen) == {launch.attempt_id for launch in launches}

    async def test_stop_after_the_end_changes_nothing(self, stage: Stage, executor: Executor):
        launch = await _launch(stage, executor)
        ending = await _end(stage, executor, launch)

        await executor.stop(launch, StopKind.GRACEFUL)
        await executor.stop(launch, StopKind.AT_ONCE)

        assert (await _look(executor, launch)).ending == ending

    @pytest.mark.parametrize("kind", StopKind)
    async def test_stop_from_the_next_life(self, stage: Stage, executor: Executor, kind: StopKind):
        launch = await _launch(stage, executor)

        later = stage.open()
        await later.stop(launch, kind)
        await later.stop(launch, kind)
        ending = await _see_ending(later, launch)

        # Stopped without a cause: nobody's wish but a worker's.
        assert ending.kind in (EndingKind.EXITED, EndingKind.FAILED, EndingKind.PREEMPTED)
        assert ending.exit_code is None

    async def test_unknown_attempt_has_vanished(self, stage: Stage, executor: Executor):
        launch = stage.build_launch(_name())

        assert (await _see_ending(executor, launch)).kind is EndingKind.VANISHED

    async def test_trouble_outside_may_be_tried_again(self, executor: Executor):
        assert executor.classify(ConnectionError()) is ErrorKind.TRANSIENT
        assert executor.classify(TypeError()) is ErrorKind.PERMANENT


class LocalExecutorContract(ExecutorContract):
    """And what holds of those that run programs on the worker's machine."""

    async def test_rows_go_on_in_the_next_life(self, stage: LocalStage, executor: Executor):
        launch = await _launch(stage, executor)
        stage.report(launch.attempt_id, 0.25, 0)
        await _see_rows(executor, launch, 1)

        later = stage.open()
        await later.launch(launch)
        stage.report(launch.attempt_id, 0.5, 1)
        sighting = await _see_rows(later, launch, 2)

        assert sighting.is_running
        assert (await _end(stage, later, launch)).values == {_METRIC: 0.5}

    async def test_rows_come_from_the_cursor_on_and_again(
        self, stage: LocalStage, executor: Executor
    ):
        launch = await _launch(stage, executor)
        for step, value in ((0, 0.25), (1, 0.5), (5, 0.75)):
            stage.report(launch.attempt_id, value, step)
        rows = (await _see_rows(executor, launch, 3)).rows

        assert list(rows) == [
            MetricRow(0, {_METRIC: 0.25}),
            MetricRow(1, {_METRIC: 0.5}),
            MetricRow(5, {_METRIC: 0.75}),
        ]
        for looking in (executor, stage.open()):
            for cursor in (2, 0, 3, 1):
                assert list((await _look(looking, launch, cursor)).rows) == list(rows[cursor:])

    async def test_log_comes_from_the_offset_on_and_again(
        self, stage: LocalStage, executor: Executor
    ):
        launch = await _launch(stage, executor)
        stage.print(launch.attempt_id, "hello")
        stage.print(launch.attempt_id, "world")

        log = (await _see(executor, launch, lambda seen: b"world" in seen.log)).log

        assert log == b"hello\nworld\n"
        for looking in (executor, stage.open()):
            sighting = await _look(looking, launch, log_offset=6)
            assert (sighting.log_offset, sighting.log) == (6, b"world\n")

    async def test_exit_code_and_last_values_stay(self, stage: LocalStage, executor: Executor):
        launch = await _launch(stage, executor)
        stage.report(launch.attempt_id, 0.75, 0)
        stage.report(launch.attempt_id, 0.5, 1)
        await _see_rows(executor, launch, 2)

        ending = await _end(stage, executor, launch, exit_code=3)

        assert (ending.kind, ending.exit_code, ending.signal) == (EndingKind.EXITED, 3, None)
        assert ending.values == {_METRIC: 0.5}
        assert (await _look(stage.open(), launch)).ending == ending

    async def test_rows_before_the_cursor_are_in_the_values(
        self, stage: LocalStage, executor: Executor
    ):
        launch = await _launch(stage, executor)
        stage.report(launch.attempt_id, 0.75, 0)
        await _see_rows(executor, launch, 1)
        await _end(stage, executor, launch)

        sighting = await _look(stage.open(), launch, cursor=1)

        assert list(sighting.rows) == []
        assert sighting.ending is not None
        assert sighting.ending.values == {_METRIC: 0.75}

    @pytest.mark.parametrize("kind", StopKind)
    async def test_stopped_program_ends_by_a_signal(
        self, stage: LocalStage, executor: Executor, kind: StopKind
    ):
        launch = await _launch(stage, executor)

        await executor.stop(launch, kind)
        await executor.stop(launch, kind)
        ending = await _see_ending(executor, launch)

        assert ending.kind is EndingKind.EXITED
        assert ending.signal == (2 if kind is StopKind.GRACEFUL else 9)

    async def test_stop_before_the_launch_prevents_it(self, stage: LocalStage, executor: Executor):
        launch = stage.build_launch(_name())

        await executor.stop(launch, StopKind.GRACEFUL)
        await stage.open().launch(launch)
        ending = await _see_ending(executor, launch)

        assert ending.kind is EndingKind.NOT_STARTED
        assert ending.values == {}
        assert stage.count_executions(launch.attempt_id) == 0

    async def test_vanished_program_keeps_its_values(self, stage: LocalStage, executor: Executor):
        launch = await _launch(stage, executor)
        stage.report(launch.attempt_id, 0.5, 0)
        await _see_rows(executor, launch, 1)

        stage.vanish(launch.attempt_id)
        ending = await _see_ending(executor, launch)
        await executor.launch(launch)

        assert (ending.kind, ending.values) == (EndingKind.VANISHED, {_METRIC: 0.5})
        assert stage.count_executions(launch.attempt_id) == 1

    async def test_forgotten_attempt_is_no_longer_left_over(
        self, stage: LocalStage, executor: Executor
    ):
        kept, gone = [await _launch(stage, executor, number) for number in range(2)]
        await _end(stage, executor, gone)

        await executor.forget(gone)
        await executor.forget(gone)

        assert await executor.list_left_over(()) == [kept.attempt_id]
        assert (await _see_ending(executor, gone)).kind is EndingKind.VANISHED

    async def test_running_attempt_cannot_be_forgotten(self, stage: LocalStage, executor: Executor):
        launch = await _launch(stage, executor)

        with pytest.raises(StillRunning) as refusal:
            await executor.forget(launch)

        assert executor.classify(refusal.value) is ErrorKind.TRANSIENT
        assert (await _look(executor, launch)).is_running

    async def test_left_over_is_what_nobody_knows(self, stage: LocalStage, executor: Executor):
        launches = [await _launch(stage, executor, number) for number in range(3)]
        ids = [launch.attempt_id for launch in launches]
        await _end(stage, executor, launches[1])

        later = stage.open()

        assert sorted(await later.list_left_over(())) == ids
        assert await later.list_left_over(ids[:2]) == ids[2:]


async def watch_until(
    executor: Executor, watch: Watch, condition: Callable[[Sighting], bool]
) -> Sighting:
    """Looks again and again until it sees what it wants."""
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while True:
        sighting = (await executor.poll([watch])).get(watch.launch.attempt_id)
        if sighting is not None and condition(sighting):
            return sighting
        assert time.monotonic() < deadline, sighting
        await asyncio.sleep(0.01)


def _name(number: int = 0) -> str:
    return build_attempt_id("k3v9x2ab", number, 1)


async def _launch(stage: Stage, executor: Executor, number: int = 0) -> Launch:
    launch = stage.build_launch(_name(number))
    await executor.launch(launch)
    return launch


async def _look(
    executor: Executor, launch: Launch, cursor: int = 0, log_offset: int = 0
) -> Sighting:
    return (await executor.poll([Watch(launch, cursor, log_offset)]))[launch.attempt_id]


async def _see(
    executor: Executor, launch: Launch, condition: Callable[[Sighting], bool]
) -> Sighting:
    return await watch_until(executor, Watch(launch), condition)


async def _see_running(executor: Executor, launch: Launch) -> None:
    await _see(executor, launch, lambda seen: seen.is_running)


async def _see_rows(executor: Executor, launch: Launch, count: int) -> Sighting:
    return await _see(executor, launch, lambda seen: len(seen.rows) == count)


async def _see_ending(executor: Executor, launch: Launch) -> Ending:
    ending = (await _see(executor, launch, lambda seen: seen.ending is not None)).ending
    assert ending is not None
    return ending


async def _end(stage: Stage, executor: Executor, launch: Launch, *, exit_code: int = 0) -> Ending:
    stage.end(launch.attempt_id, exit_code)
    return await _see_ending(executor, launch)
