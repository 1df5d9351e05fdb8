"""What an execution of Flyte means for its attempt, told by what Flyte says of it."""

from dataclasses import replace

import pytest

from service.domain.attempts import Ending, EndingKind
from service.schedulers.executors.base import Launch, Sighting
from service.schedulers.executors.flyte.api import ExecutionView, Place
from service.schedulers.executors.flyte.execution import OVERDUE, FlyteExecution

RUNNING = ExecutionView("RUNNING", started_at=1000.0)
TRACE = """Trace:

    Traceback (most recent call last):
      File "train.py", line 9, in train
        raise ValueError("Message: bad")
    ValueError: Message: bad
      for lr=0.1

Message:

    ValueError: Message: bad
      for lr=0.1"""

PRUNED = "Asktell: the pruner has given it up."


@pytest.fixture
def execution() -> FlyteExecution:
    arguments = {"task": "flytesnacks/development/train@v1", "timeout_seconds": 60}
    launch = Launch("k3v9x2ab-12-1", arguments=arguments)
    return FlyteExecution(launch, Place.of(launch))


def judge(view: ExecutionView) -> Ending:
    launch = Launch("k3v9x2ab-12-1", arguments={"task": "flytesnacks/development/train@v1"})
    execution = FlyteExecution(launch, Place.of(launch))
    execution.take_in(view)
    assert execution.ending is not None
    return execution.ending


def abort(cause: str, principal: str = "") -> ExecutionView:
    return ExecutionView("ABORTED", abort={"cause": cause, "principal": principal})


def fail(code: str, message: str, phase: str = "FAILED") -> ExecutionView:
    return ExecutionView(phase, error={"code": code, "message": message})


def test_success_has_its_values() -> None:
    assert judge(ExecutionView("SUCCEEDED", values={"loss": 0.5})) == Ending(
        EndingKind.EXITED, exit_code=0, values={"loss": 0.5}
    )


@pytest.mark.parametrize(
    ("code", "message", "reason"),
    [
        ("USER:RuntimeError", TRACE, "ValueError: Message: bad for lr=0.1"),
        (
            "RetriesExhausted|USER:Recoverable",
            f"[3/3] currentAttempt done. Last Error: USER::{TRACE}",
            "ValueError: Message: bad for lr=0.1",
        ),
        (
            "RetriesExhausted|OOMKilled",
            "[1/1] currentAttempt done. Last Error: USER::\n[primary] terminated with exit code "
            "(137). Reason [OOMKilled]. Message: \nepoch 3\nepoch 4.",
            "[1/1] currentAttempt done. Last Error: USER:: [primary] terminated with exit code "
            "(137). Reason [OOMKilled]. Message: epoch 3 epoch 4.",
        ),
        ("ImagePullBackOff", "", "nothing tells why."),
    ],
)
def test_failure_is_told_in_one_line_with_its_code(code: str, message: str, reason: str) -> None:
    ending = judge(fail(code, message))

    assert (ending.kind, ending.values) == (EndingKind.FAILED, {})
    assert ending.message == f"It failed in Flyte ({code}): {reason}"


def test_reason_after_a_long_traceback_is_not_lost() -> None:
    message = TRACE.replace("Traceback", "frame " * 10_000)

    assert judge(fail("USER:RuntimeError", message)).message == (
        "It failed in Flyte (USER:RuntimeError): ValueError: Message: bad for lr=0.1"
    )


def test_reason_that_is_too_long_is_cut() -> None:
    message = judge(fail("UnknownError", "frame " * 10_000)).message

    assert message is not None
    assert len(message) < 1100
    assert message.endswith("…")


def test_failure_without_a_reason() -> None:
    assert judge(ExecutionView("FAILED")).message == "It failed in Flyte: nothing tells why."


@pytest.mark.parametrize(
    "view",
    [
        fail("RetriesExhausted|TimeoutExpired", "task execution timeout [1s] expired"),
        fail("Timeout", "Timeout in node"),
        fail("Timeout", "too long", phase="TIMED_OUT"),
        ExecutionView("TIMED_OUT"),
        abort(OVERDUE),
    ],
)
def test_what_ran_too_long_has_timed_out(view: ExecutionView) -> None:
    assert judge(view).kind is EndingKind.TIMED_OUT


@pytest.mark.parametrize(
    ("view", "message"),
    [
        (abort("wrong data\n", "alice"), "It was aborted in Flyte by alice: wrong data"),
        (abort("wrong data"), "It was aborted in Flyte: wrong data"),
        (abort("", "alice"), "It was aborted in Flyte by alice."),
        (ExecutionView("ABORTED"), "It was aborted in Flyte."),
    ],
)
def test_what_a_person_aborted_is_cancelled(view: ExecutionView, message: str) -> None:
    assert judge(view) == Ending(EndingKind.CANCELLED, message=message, values={})


def test_what_a_worker_aborted_for_its_own_sake_was_preempted() -> None:
    """Whoever takes over has only this to know it by."""
    assert judge(abort("Asktell: it is not wanted any more.")).kind is EndingKind.PREEMPTED


def test_what_a_worker_aborted_has_failed() -> None:
    assert judge(abort(PRUNED, "asktell-worker")) == Ending(
        EndingKind.FAILED,
        message="It was ended. Asktell: the pruner has given it up.",
        values={},
    )


@pytest.mark.parametrize("phase", ["UNDEFINED", "QUEUED"])
def test_what_is_queued_waits(execution: FlyteExecution, phase: str) -> None:
    execution.take_in(ExecutionView(phase))

    assert execution.build_sighting() == Sighting(
        is_running=False, note="Waits in Flyte to be started."
    )
    assert execution.is_expected


@pytest.mark.parametrize("phase", ["RUNNING", "SUCCEEDING", "FAILING", "ABORTING"])
def test_what_was_begun_runs_until_it_has_ended(execution: FlyteExecution, phase: str) -> None:
    execution.take_in(replace(RUNNING, phase=phase))

    assert execution.build_sighting() == Sighting(is_running=True)
    assert execution.is_expected == (phase == "ABORTING")


def test_what_was_aborted_before_its_begin_never_ran(execution: FlyteExecution) -> None:
    execution.take_in(ExecutionView("ABORTING"))

    assert not execution.build_sighting().is_running


def test_one_look_in_vain_says_nothing(execution: FlyteExecution) -> None:
    execution.take_in(RUNNING)
    execution.take_in(None)
    assert execution.ending is None
    execution.take_in(RUNNING)
    execution.take_in(None)
    assert execution.ending is None
    execution.take_in(None)
    assert execution.ending is not None
    assert execution.ending.kind is EndingKind.VANISHED


def test_what_was_stopped_and_never_seen_was_not_started(execution: FlyteExecution) -> None:
    execution.want_stop("pruned")
    execution.take_in(None)
    assert execution.ending is None
    execution.take_in(None)
    assert execution.ending is not None
    assert execution.ending.kind is EndingKind.NOT_STARTED


@pytest.mark.parametrize(
    ("view", "seconds", "cause"),
    [
        (RUNNING, 59.0, None),
        (RUNNING, 60.0, OVERDUE),
        (ExecutionView("QUEUED"), 1e6, None),
        (replace(RUNNING, phase="SUCCEEDING"), 1e6, None),
        # Its cause is what tells who aborted it: the first one stays.
        (replace(RUNNING, phase="ABORTING"), 1e6, None),
    ],
)
def test_time_limit_counts_from_the_begin(
    execution: FlyteExecution, view: ExecutionView, seconds: float, cause: str | None
) -> None:
    execution.take_in(view)

    assert execution.find_cause(1000.0 + seconds) == cause


@pytest.mark.parametrize(
    ("phase", "cause"), [("QUEUED", PRUNED), ("RUNNING", PRUNED), ("ABORTING", None)]
)
def test_what_is_there_after_a_stop_is_to_end(
    execution: FlyteExecution, phase: str, cause: str | None
) -> None:
    execution.want_stop("pruned")
    execution.take_in(replace(RUNNING, phase=phase))

    assert execution.find_cause(1000.0) == cause


def test_trouble_is_told_until_the_next_look(execution: FlyteExecution) -> None:
    execution.take_in(RUNNING)
    execution.trouble = "Flyte has not answered."
    assert execution.build_sighting() == Sighting(is_running=True, note="Flyte has not answered.")
    execution.take_in(RUNNING)
    assert execution.build_sighting().note is None
