"""Budgets: how much a study may use, to the trial, and what opens it again."""

import asyncio

import pytest

from service.domain.errors import (
    StudyFinished,
)
from service.domain.studies import (
    AttemptEnd,
    Budget,
    RetryPolicy,
    StopReason,
    StudyState,
)
from service.domain.trials import AttemptPhase, Outcome, TrialState
from service.engine.configure import configure
from service.engine.enqueue import EnqueuedTrial, enqueue
from service.engine.import_trials import ImportedTrial, import_trials
from service.engine.states import pause, resume
from service.engine.tell import tell, tell_many
from tests.integration.timed_study import DONE, LEASE_SECONDS, PARAMS, TimedStudy


class TestMaxTrials:
    async def test_is_exact_for_fifty_at_once(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(max_trials=70))
        asks = [study.ask(count=1 + place % 4) for place in range(50)]
        answers = await asyncio.gather(*asks, return_exceptions=True)
        asked = [trial for answer in answers if isinstance(answer, tuple) for trial in answer]
        assert sorted(trial.number for trial in asked) == list(range(70))
        refused = [answer for answer in answers if not isinstance(answer, tuple)]
        assert {type(answer) for answer in refused} == {StudyFinished}
        summary = await study.summary()
        assert (summary.started, summary.counts.running) == (70, 70)
        assert (summary.state, summary.stop_reason) == (
            StudyState.STOPPING,
            StopReason.MAX_TRIALS,
        )

    async def test_repeats_with_a_key_count_once(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(max_trials=12))
        keys = [f"key-{place % 4}" for place in range(40)]
        answers = await asyncio.gather(*[study.ask(count=2, idempotency_key=key) for key in keys])
        assert len({trial.number for answer in answers for trial in answer}) == 8
        assert (await study.summary()).started == 8
        assert len(await study.ask(count=12)) == 4

    async def test_imports_do_not_count_and_enqueued_ones_do(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(max_trials=3))
        await import_trials(study.actor, [DONE] * 5)
        await enqueue(study.actor, [EnqueuedTrial({"n": 1}), EnqueuedTrial({"n": 2})])
        assert (await study.summary()).started == 0
        asked = await study.ask(count=9)
        assert [trial.params["n"] for trial in asked[:2]] == [1, 2]
        assert [trial.number for trial in asked] == [5, 6, 7]
        with pytest.raises(StudyFinished, match="max_trials"):
            await study.ask()

    async def test_further_attempts_do_not_count(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(max_trials=2))
        await study.ask()
        await study.lose()
        await study.ask()
        assert (await study.summary()).started == 1
        assert (await study.ask())[0].number == 1

    async def test_is_the_same_after_a_restart(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(max_trials=4))
        await import_trials(study.actor, [DONE])
        await enqueue(study.actor, [EnqueuedTrial({"n": 1})])
        await study.ask(count=2)
        await study.complete(1)
        await study.lose()
        await study.restart()
        assert (await study.summary()).started == 2
        await study.ask()
        assert len(await study.ask(count=9)) == 2
        with pytest.raises(StudyFinished):
            await study.ask()

    async def test_the_last_end_finishes_the_study(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(max_trials=1))
        await study.ask()
        assert (await study.summary()).state is StudyState.STOPPING
        await study.complete(0)
        assert (await study.summary()).state is StudyState.FINISHED

    async def test_a_raised_limit_opens_it_again(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(max_trials=1))
        await study.ask()
        with pytest.raises(StudyFinished):
            await resume(study.actor)
        await configure(study.actor, {"budget": {"max_trials": 2}}, {})
        assert (await study.summary()).state is StudyState.ACTIVE
        assert (await study.ask())[0].number == 1
        await configure(study.actor, {"budget": None}, {})
        assert len(await study.ask(count=5)) == 5

    async def test_a_limit_lowered_below_what_was_started_stops(self, study: TimedStudy) -> None:
        await study.create()
        await study.ask(count=3)
        await configure(study.actor, {"budget": {"max_trials": 2}}, {})
        assert (await study.summary()).stop_reason is StopReason.MAX_TRIALS

    async def test_lost_trials_are_still_handed_out(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(max_trials=2))
        await study.ask(count=2)
        await study.lose()
        assert [trial.attempt for trial in await study.ask(count=9)] == [2, 2]
        with pytest.raises(StudyFinished):
            await study.ask()

    async def test_a_lost_trial_that_nobody_asks_for_fails(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(max_trials=1))
        await study.ask()
        await study.lose()
        await study.let_pass(LEASE_SECONDS - 2)
        assert (await study.view(0)).phase is AttemptPhase.QUEUED
        await study.let_pass(2)
        view = await study.view(0)
        assert (view.state, (await study.summary()).state) == (
            TrialState.FAIL,
            StudyState.FINISHED,
        )
        assert view.reason is not None
        assert "Nobody asked" in view.reason


class TestMaxSeconds:
    async def test_stops_by_the_clock(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(max_seconds=100), lease_seconds=None)
        await study.let_pass(1000)
        await study.ask()
        await study.let_pass(99)
        await study.ask()
        await study.let_pass(1)
        assert (await study.summary()).stop_reason is StopReason.MAX_SECONDS
        with pytest.raises(StudyFinished, match="max_seconds"):
            await study.ask()

    async def test_an_ask_sees_it_before_anybody_looks(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(max_seconds=100), lease_seconds=None)
        await study.ask()
        study.move_clock(101)
        with pytest.raises(StudyFinished):
            await study.ask()

    async def test_pauses_and_restarts_are_part_of_it(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(max_seconds=100), lease_seconds=None)
        await study.ask()
        await pause(study.actor)
        await study.let_pass(60)
        await study.restart()
        await resume(study.actor)
        await study.let_pass(39)
        assert (await study.summary()).state is StudyState.ACTIVE
        await study.let_pass(1)
        assert (await study.summary()).stop_reason is StopReason.MAX_SECONDS

    async def test_imports_do_not_start_it(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(max_seconds=100))
        await import_trials(study.actor, [DONE])
        await study.let_pass(1000)
        await study.restart()
        assert (await study.ask())[0].number == 1

    async def test_more_of_it_opens_the_study_again(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(max_seconds=100), lease_seconds=None)
        await study.ask()
        await study.let_pass(150)
        with pytest.raises(StudyFinished):
            await resume(study.actor)
        await configure(study.actor, {"budget": {"max_seconds": 200}}, {})
        await study.ask()
        await study.let_pass(50)
        assert (await study.summary()).stop_reason is StopReason.MAX_SECONDS

    async def test_lost_trials_fail_at_once(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(max_seconds=100))
        await study.ask()
        await study.lose()
        await study.let_pass(100)
        await study.let_pass(0)
        view = await study.view(0)
        assert view.state is TrialState.FAIL
        assert view.reason is not None
        assert "stopped before" in view.reason


class TestMaxFailures:
    async def test_counts_failures_in_a_row(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(max_failures=2))
        await study.ask(count=5)
        await study.fail(0)
        await study.complete(1)
        await study.fail(2)
        assert (await study.summary()).state is StudyState.ACTIVE
        await study.fail(3)
        assert (await study.summary()).stop_reason is StopReason.MAX_FAILURES
        with pytest.raises(StudyFinished, match="failed in a row"):
            await study.ask()

    async def test_in_the_order_of_the_ends(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(max_failures=3))
        await study.ask(count=6)
        for number in (5, 4):
            await study.fail(number)
        await study.complete(0)
        for number in (3, 2):
            await study.fail(number)
        await study.restart()
        assert (await study.summary()).state is StudyState.ACTIVE
        await study.fail(1)
        assert (await study.summary()).stop_reason is StopReason.MAX_FAILURES

    async def test_pruned_trials_are_no_failures(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(max_failures=2))
        await study.ask(count=3)
        await study.fail(0)
        await tell(study.actor, 1, Outcome(TrialState.PRUNED))
        await study.fail(2)
        assert (await study.summary()).state is StudyState.ACTIVE

    async def test_only_the_end_of_a_trial_counts(self, study: TimedStudy) -> None:
        await study.create(
            budget=Budget(max_failures=2),
            retry=RetryPolicy(max_attempts=2, on=frozenset(AttemptEnd)),
        )
        await study.ask(count=2)
        await study.fail(0)
        await study.fail(1)
        assert (await study.summary()).state is StudyState.ACTIVE
        await study.ask(count=2)
        await study.fail(0)
        await study.fail(1)
        assert (await study.summary()).stop_reason is StopReason.MAX_FAILURES

    async def test_lost_ones_count(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(max_failures=2), retry=RetryPolicy(max_attempts=1))
        await study.ask(count=2)
        await study.lose()
        await study.lose()
        assert (await study.summary()).stop_reason is StopReason.MAX_FAILURES

    async def test_imported_ones_do_not(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(max_failures=1))
        await import_trials(study.actor, [ImportedTrial(TrialState.FAIL, PARAMS)])
        await study.restart()
        assert (await study.ask())[0].number == 1

    async def test_a_batch_counts_in_the_order_of_its_ends(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(max_failures=2))
        await study.ask(count=3)
        preempted = Outcome(TrialState.FAIL, cause=AttemptEnd.PREEMPTED)
        done, failed = Outcome(TrialState.COMPLETE, (1.0,)), Outcome(TrialState.FAIL)
        await tell_many(study.actor, [(0, preempted), (1, done), (0, failed)])
        await study.fail(2)
        assert (await study.summary()).stop_reason is StopReason.MAX_FAILURES

    async def test_a_higher_limit_opens_the_study_again(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(max_failures=1))
        await study.ask(count=2)
        await study.fail(0)
        with pytest.raises(StudyFinished):
            await resume(study.actor)
        await configure(study.actor, {"budget": {"max_failures": 2}}, {})
        await study.fail(1)
        assert (await study.summary()).stop_reason is StopReason.MAX_FAILURES
