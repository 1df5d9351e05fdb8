"""How an attempt that is a W&B run ended, by its process and by its run."""

from dataclasses import replace

import pytest

from service.domain.attempts import Ending, EndingKind
from service.schedulers.executors.wandb.local.ending import (
    RunEnd,
    blame_person,
    had_to_leave,
    judge,
    may_be_a_persons_doing,
)

OK = Ending(EndingKind.EXITED, exit_code=0, values={})
FAILED = Ending(EndingKind.EXITED, exit_code=3, message="last line", values={})
INTERRUPTED = Ending(EndingKind.EXITED, signal=2, values={})
KILLED = Ending(EndingKind.EXITED, signal=9, values={})
VALUES = {"loss": 0.5}
RUN = RunEnd(has_run=True, exit_code=0, is_preempting=False, is_cut_short=False, values=VALUES)
NO_RUN = replace(RUN, has_run=False, exit_code=None, values={})


def test_both_say_that_it_finished():
    assert judge(OK, RUN, was_told=False) == replace(OK, values=VALUES)


def test_run_that_failed_under_a_program_that_did_not():
    ending = judge(OK, replace(RUN, exit_code=5), was_told=False)

    assert (ending.kind, ending.exit_code, ending.values) == (EndingKind.FAILED, 0, VALUES)
    assert ending.message == "Its W&B run ended with exit code 5, the program itself with 0."


@pytest.mark.parametrize("ending", [FAILED, INTERRUPTED, KILLED])
@pytest.mark.parametrize("exit_code", [None, 0, 1, 255])
def test_process_that_failed_is_believed(ending: Ending, exit_code: int | None):
    judged = judge(ending, replace(RUN, exit_code=exit_code), was_told=False)

    assert judged == replace(ending, values=VALUES)


def test_run_without_an_end_has_failed():
    ending = judge(OK, replace(RUN, exit_code=None), was_told=False)

    assert (ending.kind, ending.exit_code) == (EndingKind.FAILED, 0)
    assert ending.message is not None
    assert ending.message.startswith("Its W&B run has no end: ")


def test_run_whose_log_is_damaged_says_so():
    trouble = "It is damaged at byte 7; some of it is missing."

    ending = judge(OK, replace(RUN, exit_code=None, trouble=trouble), was_told=False)

    assert ending.kind is EndingKind.FAILED
    assert ending.message == (f"Its W&B run has no end that could be read from its log. {trouble}")


def test_program_without_a_run_is_a_process():
    assert judge(OK, NO_RUN, was_told=False) == OK
    assert judge(FAILED, NO_RUN, was_told=False) == FAILED


@pytest.mark.parametrize(
    "kind", [EndingKind.TIMED_OUT, EndingKind.NOT_STARTED, EndingKind.VANISHED]
)
def test_other_ends_stay_and_have_the_runs_values(kind: EndingKind):
    ending = Ending(kind, message="why", values={})

    assert judge(ending, RUN, was_told=False) == replace(ending, values=VALUES)


@pytest.mark.parametrize(
    ("ending", "exit_code"), [(FAILED, 3), (INTERRUPTED, 255), (KILLED, None), (OK, 1)]
)
def test_preempting_run_that_does_not_finish_is_preempted(ending: Ending, exit_code: int | None):
    run = replace(RUN, is_preempting=True, exit_code=exit_code)

    assert judge(ending, run, was_told=False).kind is EndingKind.PREEMPTED
    assert judge(ending, run, was_told=True).kind is not EndingKind.PREEMPTED


def test_preempting_run_may_finish_all_the_same():
    assert judge(OK, replace(RUN, is_preempting=True), was_told=False).kind is EndingKind.EXITED


@pytest.mark.parametrize("ending", [INTERRUPTED, KILLED])
def test_upload_that_was_cut_short_does_not_change_the_end(ending: Ending):
    run = replace(RUN, is_cut_short=True)

    assert judge(ending, run, was_told=True) == replace(OK, values=VALUES)


@pytest.mark.parametrize("ending", [FAILED, INTERRUPTED, KILLED])
def test_run_that_failed_before_its_upload_was_cut_short(ending: Ending):
    run = replace(RUN, exit_code=3, is_cut_short=True)

    judged = judge(ending, run, was_told=True)

    assert (judged.kind, judged.signal) == (EndingKind.FAILED, ending.signal)
    assert judged.message == "Its W&B run ended with exit code 3."


def test_persons_doing():
    without_end = Ending(EndingKind.FAILED, exit_code=0)
    timed_out = Ending(EndingKind.TIMED_OUT, signal=2)
    for may_be in (FAILED, INTERRUPTED, KILLED, without_end):
        assert may_be_a_persons_doing(may_be)
    for cannot_be in (OK, timed_out):
        assert not may_be_a_persons_doing(cannot_be)
    blamed = blame_person(INTERRUPTED)
    assert (blamed.kind, blamed.signal) == (EndingKind.CANCELLED, 2)
    assert blamed.message == "A person stopped the run in W&B."


def test_who_had_no_time_to_upload():
    assert [had_to_leave(number) for number in (None, 2, 15, 9)] == [False, False, True, True]
