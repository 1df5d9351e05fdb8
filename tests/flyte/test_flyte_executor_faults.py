"""Flyte that refuses, breaks, hangs and goes away, at every call of the executor."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
import pytest

from service.domain.attempts import EndingKind
from service.domain.flyte import build_execution_name
from service.schedulers.executors.base import ErrorKind, Launch, Watch
from service.schedulers.executors.connection.connection import (
    Connection,
    SystemAway,
    SystemRefused,
    SystemSilent,
)
from service.schedulers.executors.flyte.api import FlyteApi, NewExecution, Place
from service.schedulers.executors.flyte.errors import PASSING
from tests.flyte.executor_bench import TOKEN, Bench, see, see_end
from tests.flyte.executor_bench import bench as bench
from tests.flyte_admin.faults import When
from tests.log_lines import open_log

pytestmark = pytest.mark.asyncio(loop_scope="module")

Code = grpc.StatusCode
CODES = [each for each in Code if each is not Code.OK]
# flytekit takes these two for a login that is no good any more, and tries once more with a new one.
TRIED_TWICE = {Code.UNAUTHENTICATED, Code.UNKNOWN}
DETAILS = "The stand-in was told to fail with {}."
OUTPUTS_HANG = "Where Flyte keeps its outputs nobody answers within 0.02 s."
LOG_IN = " Give the worker credentials of Flyte that are valid."


@pytest.fixture(autouse=True)
def _clear(bench: Bench) -> Iterator[None]:
    yield
    bench.clear()


@dataclass(frozen=True, slots=True)
class Question:
    """A call of the executor, the RPC of it that fails, and what that means beyond the ordinary.

    Attributes:
        answers: By code: what is no error.
        done: Those answers that there are only if the work was done before the code.
        lingers: Whether the work goes on for a moment after its answer: until that is over, a
            second call is answered as the first one was.
    """

    rpc: str
    ask: Callable[[FlyteApi, Launch], Awaitable[Any]]
    answers: dict[Code, Any]
    done: dict[Code, Any] = field(default_factory=dict)
    lingers: bool = False


def launch(api: FlyteApi, attempt: Launch) -> Awaitable[Any]:
    new = NewExecution(
        inputs=attempt.params,
        labels={"asktell-attempt": attempt.attempt_id},
        annotations={},
        environment=attempt.environment,
        options={},
    )
    return api.launch(Place.of(attempt), attempt.attempt_id, new)


def read(api: FlyteApi, attempt: Launch) -> Awaitable[Any]:
    return api.read(Place.of(attempt), attempt.attempt_id, attempt.metrics, {})


async def check(api: FlyteApi, attempt: Launch) -> list[str]:
    place = Place.of(attempt)
    problems = await api.check(place, {"x": [1]}, attempt.metrics, {})
    return [each.replace(str(place.entity), "ENTITY") for each in problems]


QUESTIONS = [
    Question(
        "GetTask",
        check,
        {Code.NOT_FOUND: ["Flyte has no task ENTITY. Register it, or correct its name."]},
    ),
    Question(
        "CreateExecution",
        launch,
        {
            Code.INVALID_ARGUMENT: f"Flyte refuses it: {DETAILS.format('INVALID_ARGUMENT')}",
            Code.ALREADY_EXISTS: None,
        },
        done=dict.fromkeys(TRIED_TWICE),
    ),
    Question(
        "ListExecutions",
        lambda api, attempt: api.find("flytesnacks", "development", [attempt.attempt_id]),
        {},
    ),
    Question("GetExecution", read, {Code.NOT_FOUND: None}),
    Question("GetExecutionData", read, {}),
    Question(
        "TerminateExecution",
        lambda api, attempt: api.terminate(Place.of(attempt), attempt.attempt_id, "Enough."),
        {Code.NOT_FOUND: False, Code.FAILED_PRECONDITION: False},
        done=dict.fromkeys(TRIED_TWICE, False),
        lingers=True,
    ),
]


async def prepare(bench: Bench, rpc: str) -> Launch:
    """An attempt of which the RPC can be asked, with a task that was never asked for."""
    task = f"train-{bench.number}"
    bench.admin.plant_task(task, inputs={"x": float}, outputs={"o0": float})
    attempt = bench.build_launch(task=task)
    if rpc not in ("GetTask", "CreateExecution"):
        await bench.open_executor().launch(attempt)
    if rpc == "GetExecutionData":
        bench.succeed(attempt, o0=0.5)
        bench.wait_for(attempt, "SUCCEEDED")
    return attempt


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.name)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.rpc)
async def test_each_code_at_each_call(
    bench: Bench, question: Question, when: When, code: Code
) -> None:
    attempt = await prepare(bench, question.rpc)
    api = FlyteApi(bench.connection)
    bench.admin.break_(question.rpc, code, when=when, times=None)
    with bench.count_calls() as calls, open_log() as log:
        outcome = await catch(question.ask(api, attempt))
        told = log.read_text()
    bench.admin.recover()

    assert calls[question.rpc] == (2 if code in TRIED_TWICE else 1)
    assert TOKEN not in told + str(outcome) + repr(outcome)
    answers = question.answers | (question.done if when == "after" else {})
    if (question.rpc, code, when) == ("CreateExecution", Code.ALREADY_EXISTS, "before"):
        # It was lied to: there is no such execution.
        assert isinstance(outcome, SystemRefused)
    elif (
        question.lingers
        and code in question.done
        and isinstance(outcome, SystemRefused | SystemAway)
    ):
        check_error(bench, outcome, code)
    elif code in answers:
        assert outcome == answers[code]
    else:
        check_error(bench, outcome, code)
    assert not isinstance(await catch(question.ask(api, attempt)), Exception)
    if question.rpc != "GetTask":
        assert len(bench.list_executions(attempt)) == 1


def check_error(bench: Bench, outcome: Any, code: Code) -> None:
    details = DETAILS.format(code.name)
    if code in PASSING:
        expected = f"Flyte at {bench.admin.endpoint} cannot be asked now: {details}"
    else:
        expected = details + (LOG_IN if code is Code.UNAUTHENTICATED else "")
    assert type(outcome) is (SystemSilent if code in PASSING else SystemRefused)
    assert str(outcome) == expected
    assert bench.open_executor().classify(outcome) is ErrorKind.TRANSIENT


async def catch(doing: Awaitable[Any]) -> Any:
    """What comes of it, be it an error."""
    try:
        return await doing
    except (SystemAway, SystemRefused) as error:
        return error


class Hasty:
    """A connection with little patience."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def call(self, operation: str, arguments: Any, *, deadline_seconds: float) -> Any:
        return await self._connection.call(operation, arguments, deadline_seconds=0.3)


class HastyWithOutputs:
    """A connection with little patience for where Flyte keeps outputs."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def call(
        self, operation: str, arguments: Mapping[str, Any], *, deadline_seconds: float
    ) -> Any:
        if "outputs_seconds" in arguments:
            arguments = {**arguments, "outputs_seconds": 0.02}
        return await self._connection.call(operation, arguments, deadline_seconds=deadline_seconds)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.rpc)
async def test_each_call_that_hangs_ends_in_time(
    bench: Bench, question: Question, when: When
) -> None:
    attempt = await prepare(bench, question.rpc)
    bench.admin.hang(question.rpc, when=when)
    outcome = await catch(question.ask(FlyteApi(Hasty(bench.connection)), attempt))
    bench.admin.recover()

    assert isinstance(outcome, SystemAway)
    assert TOKEN not in str(outcome)
    outcome = await catch(question.ask(FlyteApi(bench.connection), attempt))
    assert not isinstance(outcome, Exception)
    if question.rpc != "GetTask":
        assert len(bench.list_executions(attempt)) == 1


@pytest.mark.parametrize("when", ["before", "after"])
async def test_outputs_that_hang_are_given_up_and_keep_nobody(bench: Bench, when: When) -> None:
    executor = bench.open_executor(HastyWithOutputs(bench.connection), tick_seconds=0.001)
    attempt, other = bench.build_launch(), bench.build_launch()
    for each in (attempt, other):
        await executor.launch(each)
    bench.admin.give_outputs(build_execution_name(attempt.attempt_id), "by URL")
    bench.admin.hang("download", when=when, times=None)
    bench.succeed(attempt, o0=0.5)
    waiting = await see(executor, attempt, lambda seen: seen.note == OUTPUTS_HANG)
    bench.succeed(other, o0=0.5)

    assert waiting.is_running
    assert (await see_end(executor, other)).values == {"loss": 0.5}
    ending = await see_end(executor, attempt)
    bench.admin.recover()
    assert ending.kind is EndingKind.FAILED
    assert str(ending.message).endswith(OUTPUTS_HANG)


async def test_flyte_that_is_down_from_the_start(bench: Bench) -> None:
    executor, attempt = bench.open_executor(), bench.build_launch()
    bench.admin.go_down()

    for _ in range(6):
        with pytest.raises(SystemAway) as failure:
            await executor.launch(attempt)
        assert executor.classify(failure.value) is ErrorKind.TRANSIENT
        assert TOKEN not in str(failure.value)
    bench.admin.come_back()
    await insist_on_launch(bench, attempt)

    bench.succeed(attempt, o0=0.5)
    assert (await see_end(executor, attempt)).values == {"loss": 0.5}
    assert len(bench.list_executions(attempt)) == 1


async def test_flyte_that_goes_and_comes_back(bench: Bench) -> None:
    executor, attempt = bench.open_executor(), bench.build_launch()
    await executor.launch(attempt)
    await see(executor, attempt, lambda seen: seen.is_running)
    bench.admin.go_down()
    with open_log() as log:
        seen = await see(executor, attempt, lambda seen: seen.note is not None)
        (line,) = [line for line in log.read_lines() if line["event"] == "look.failed"]
    bench.succeed(attempt, o0=0.5)
    bench.wait_for(attempt, "SUCCEEDED")

    assert seen.is_running
    assert seen.note is not None
    assert seen.note.startswith(f"Flyte at {bench.admin.endpoint} cannot be asked now: ")
    assert line["reason"] == seen.note
    bench.admin.come_back()
    assert (await see_end(executor, attempt)).kind is EndingKind.EXITED


async def test_trouble_with_one_does_not_hide_the_others(bench: Bench) -> None:
    attempts = [bench.build_launch() for _ in range(2)]
    for each in attempts:
        await bench.open_executor().launch(each)
        bench.succeed(each, o0=0.5)
        bench.wait_for(each, "SUCCEEDED")
    bench.admin.break_("GetExecution", Code.PERMISSION_DENIED)
    executor = bench.open_executor(tick_seconds=1e9)
    await executor.poll([Watch(each) for each in attempts])

    assert (await see_end(executor, attempts[1])).exit_code == 0
    assert attempts[0].attempt_id not in await executor.poll([Watch(attempts[0])])


async def test_projects_are_looked_at_by_themselves(bench: Bench) -> None:
    executor, attempt = bench.open_executor(tick_seconds=1e9), bench.build_launch()
    await executor.launch(attempt)
    bench.wait_for(attempt, "RUNNING")
    bench.admin.break_("ListExecutions", Code.PERMISSION_DENIED)
    elsewhere = replace(bench.build_launch(), arguments={"task": "flytesnacks/staging/train@v1"})

    await executor.poll([Watch(elsewhere), Watch(attempt)])
    await see(executor, attempt, lambda seen: seen.is_running)


async def insist_on_launch(bench: Bench, attempt: Launch) -> None:
    """Channels wait a moment until they connect again."""
    deadline = time.monotonic() + 30
    while isinstance(outcome := await catch(bench.open_executor().launch(attempt)), Exception):
        assert time.monotonic() < deadline, outcome
        await asyncio.sleep(0.05)
