"""Lives of a study that chance comes upon too seldom, against the same plain model."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from service.domain.studies import AttemptEnd, Budget, RetryPolicy, StudySettings
from service.domain.trials import Outcome, TrialState
from service.engine.ask import Ask
from service.storage.database import Database
from tests.integration.study_life_server import Fault
from tests.integration.test_study_life import StudyLife

Live = Callable[..., StudyLife]

_COMPLETE = Outcome(TrialState.COMPLETE, (1.0,))
_FAILED = Outcome(TrialState.FAIL)
_PREEMPTED = Outcome(TrialState.FAIL, cause=AttemptEnd.PREEMPTED)
_LATE = Outcome(TrialState.COMPLETE, (1.0,), attempt=1)


@pytest.fixture
def live(database: Database) -> Iterator[Live]:
    """Makes studies whose trials 0 and 1 are live; in the end all of their trials must end."""
    lives: list[StudyLife] = []
    yield partial(_begin, lives, database)
    for life in lives:
        life.teardown()


def _begin(
    lives: list[StudyLife], database: Database, *, first: Any = None, **settings: Any
) -> StudyLife:
    life = StudyLife(database, Counter())
    lives.append(life)
    life.create(given=StudySettings(**settings), is_declared=True, first=first)
    return life


def test_a_preempted_trial_without_a_lease_ends_when_the_study_stops(live: Live) -> None:
    life = live(lease_seconds=None)
    life.tell_trial(0, _PREEMPTED)
    life.command(command="stop")
    life.let_time_pass(seconds=0.0)


def test_so_it_does_after_a_restart(live: Live) -> None:
    life = live(lease_seconds=None)
    life.tell_trial(0, _PREEMPTED)
    life.command(command="stop")
    life.prepare_fault(fault=None, turns=0)
    life.let_time_pass(seconds=0.0)


def test_a_report_without_room_does_not_keep_a_queued_attempt_for_ever(live: Live) -> None:
    life = live(lease_seconds=None, parallelism=2, budget=Budget(max_trials=3))
    life.tell_trial(0, _PREEMPTED)
    life.ask_trials(Ask(params={"n": 2}))
    life.report_points(0, [(1, 1.0)])
    life.let_leases_run_out(seconds=4000.0)


def test_a_late_result_is_taken_while_the_newer_attempt_is_given_up(live: Live) -> None:
    life = live(lease_seconds=10.0, retry=RetryPolicy(max_attempts=2))
    life.let_time_pass(seconds=16.0)
    life.ask(count=2, lease_seconds="study")
    life.let_time_pass(seconds=16.0)
    life.tell_trial(0, _LATE)


def test_a_late_result_cuts_off_an_attempt_that_is_only_queued(live: Live) -> None:
    life = live(lease_seconds=10.0)
    life.let_time_pass(seconds=16.0)
    life.ask(count=2, lease_seconds="study")
    life.let_time_pass(seconds=16.0)
    life.tell_trial(0, _LATE)


def test_a_restart_gives_each_lease_its_whole_time_again_once(live: Live) -> None:
    life = live(lease_seconds=10.0)
    life.let_time_pass(seconds=8.0)
    life.prepare_fault(fault=None, turns=0)
    life.let_time_pass(seconds=8.0)
    life.let_time_pass(seconds=4.0)


def test_failures_in_a_row_go_by_the_order_of_the_ends(live: Live) -> None:
    life = live(budget=Budget(max_failures=1))
    life.tell_trials([(0, _PREEMPTED), (1, _FAILED), (0, _COMPLETE)])


def test_time_runs_out_for_further_attempts_too(live: Live) -> None:
    life = live(lease_seconds=10.0, budget=Budget(max_trials=2, max_seconds=40.0))
    life.let_leases_run_out(seconds=31.0)
    life.ask(count=2, lease_seconds="study")
    life.let_time_pass(seconds=16.0)


def test_a_first_trial_with_fixed_parameters_starts_the_clock(live: Live) -> None:
    life = live(first={"n": 2}, budget=Budget(max_seconds=500.0))
    life.prepare_fault(fault=None, turns=0)
    life.enqueue(n=1)


def test_an_infeasible_trial_does_not_reach_the_target(live: Live) -> None:
    life = live(budget=Budget(target=2.0))
    life.tell_trial(0, Outcome(TrialState.COMPLETE, (1.0,), constraints={"size": 1.0}))
    life.tell_trial(1, Outcome(TrialState.COMPLETE, (5.0,), constraints={"size": -1.0}))


def test_a_report_without_room_is_kept_and_decides_the_end(live: Live) -> None:
    life = live(lease_seconds=10.0, parallelism=2, retry=RetryPolicy(max_attempts=1))
    life.let_time_pass(seconds=16.0)
    life.ask(count=2, lease_seconds="study")
    life.report_points(0, [(1, 9.0)])
    life.let_time_pass(seconds=16.0)


@pytest.mark.parametrize("fault", Fault)
def test_whatever_happens_to_a_retried_tell(live: Live, fault: Fault) -> None:
    life = live()
    life.prepare_fault(fault=fault, turns=3)
    life.tell_trial(0, _PREEMPTED)
    life.ask(count=1, lease_seconds="study")
