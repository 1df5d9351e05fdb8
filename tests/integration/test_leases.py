"""Leases: what becomes of a trial whose job is not heard of any more, and what keeps it."""

import asyncio

import pytest

from service.domain.errors import InvalidReport, InvalidValues
from service.domain.studies import Component, RetryMode, RetryPolicy
from service.domain.trials import AttemptPhase, Outcome, TrialState
from service.engine.configure import configure
from service.engine.heartbeat import heartbeat
from service.engine.prune import decide
from service.engine.report import report
from service.engine.tell import tell
from tests.integration.engine_use import new_study
from tests.integration.timed_study import LEASE_SECONDS, TimedStudy

HALVING = Component("SuccessiveHalvingPruner", {"min_resource": 1, "reduction_factor": 2})
THRESHOLD = Component("ThresholdPruner", {"upper": 1.0})
ONCE = RetryPolicy(max_attempts=1)
RESUME = RetryPolicy(mode=RetryMode.RESUME)

COUNT_REPORTS = "SELECT count(*) FROM trial_intermediate_values"
COUNT_RUNGS = "SELECT count(*) FROM trial_system_attributes WHERE key LIKE 'completed_rung%'"


class TestLoss:
    async def test_a_lost_trial_waits_for_another_attempt(self, study: TimedStudy) -> None:
        await study.create()
        await study.ask()
        await study.let_pass(LEASE_SECONDS - 1)
        assert (await study.view(0)).phase is AttemptPhase.LIVE
        await study.let_pass(1)
        lost = await study.view(0)
        assert (lost.state, lost.phase, lost.attempt) == (
            TrialState.RUNNING,
            AttemptPhase.QUEUED,
            1,
        )
        assert lost.reason is not None
        assert "Attempt 1 was lost" in lost.reason

    async def test_whoever_lost_it_is_promised_nothing(self, study: TimedStudy) -> None:
        await study.create()
        await study.ask()
        await study.lose()
        promised = (await decide(study.actor, 0)).lease_expires_at
        assert promised is not None
        assert promised <= study.actor.clock()

    async def test_it_waits_as_long_as_it_takes(self, study: TimedStudy) -> None:
        await study.create()
        await study.ask()
        for _ in range(5):
            await study.lose()
        assert (await study.view(0)).phase is AttemptPhase.QUEUED

    async def test_the_next_ask_gets_the_same_trial_again(self, study: TimedStudy) -> None:
        await study.create()
        (first,) = await study.ask(client_id="a")
        await study.lose()
        (again,) = await study.ask(client_id="b")
        assert (again.number, again.attempt, again.params) == (0, 2, first.params)
        view = await study.view(0)
        assert (view.phase, view.attempt, view.reason) == (AttemptPhase.LIVE, 2, None)
        assert (await study.ask())[0].number == 1

    async def test_the_oldest_lost_trials_come_first(self, study: TimedStudy) -> None:
        await study.create()
        await study.ask(count=3)
        await study.lose()
        asked = await study.ask(count=5)
        assert [(trial.number, trial.attempt) for trial in asked] == [
            (0, 2),
            (1, 2),
            (2, 2),
            (3, 1),
            (4, 1),
        ]

    async def test_fixed_params_are_for_new_trials_only(self, study: TimedStudy) -> None:
        await study.create()
        await study.ask()
        await study.lose()
        (fixed,) = await study.ask(params={"n": 3})
        assert (fixed.number, fixed.params["n"]) == (1, 3)
        assert (await study.ask())[0].number == 0

    async def test_it_starts_clean(self, study: TimedStudy) -> None:
        await study.create(new_study(pruner=HALVING))
        await study.ask()
        await report(study.actor, 0, [(1, 0.5), (2, 0.5)])
        assert (study.count(COUNT_REPORTS), study.count(COUNT_RUNGS) > 0) == (2, True)
        await study.lose()
        assert study.count(COUNT_REPORTS) == 2
        await study.ask()
        assert (study.count(COUNT_REPORTS), study.count(COUNT_RUNGS)) == (0, 0)
        view = await study.view(0)
        assert (view.decision.should_prune, view.decision.step) == (False, None)
        assert not (await report(study.actor, 0, [(1, 0.75)])).should_prune
        assert (await study.view(0)).intermediate_values == {1: 0.75}

    async def test_a_restart_of_the_engine_knows_that_it_started_clean(
        self, study: TimedStudy
    ) -> None:
        await study.create(new_study(pruner=HALVING))
        await study.ask()
        await report(study.actor, 0, [(1, 0.5)])
        await study.lose()
        await study.restart()
        await study.ask()
        await study.restart()
        await report(study.actor, 0, [(1, 0.75)])
        assert study.actor.get_trial(0).intermediate_values == {1: 0.75}
        assert study.count(COUNT_REPORTS) == 1

    async def test_it_resumes_with_all_reports(self, study: TimedStudy) -> None:
        await study.create(new_study(pruner=HALVING), retry=RESUME)
        await study.ask()
        await report(study.actor, 0, [(1, 0.5), (2, 0.5)])
        rungs = study.count(COUNT_RUNGS)
        await study.lose()
        (again,) = await study.ask()
        assert again.attempt == 2
        assert (study.count(COUNT_REPORTS), study.count(COUNT_RUNGS)) == (2, rungs)
        view = await study.view(0)
        assert (view.intermediate_values, view.decision.step) == ({1: 0.5, 2: 0.5}, 2)

    async def test_one_that_was_to_be_pruned_is(self, study: TimedStudy) -> None:
        await study.create(new_study(pruner=THRESHOLD))
        await study.ask()
        assert (await report(study.actor, 0, [(0, 0.5), (1, 2.0)])).should_prune
        await study.lose()
        view = await study.view(0)
        assert (view.state, view.phase, view.values) == (
            TrialState.PRUNED,
            AttemptPhase.ENDED,
            (2.0,),
        )
        assert (await study.ask())[0].number == 1

    async def test_two_at_once_are_both_seen(self, study: TimedStudy) -> None:
        await study.create()
        await study.ask(lease_seconds=10.0)
        await study.ask(lease_seconds=20.0)
        await study.ask(lease_seconds=30.0)
        await study.let_pass(25)
        phases = [(await study.view(number)).phase for number in range(3)]
        assert phases == [AttemptPhase.QUEUED, AttemptPhase.QUEUED, AttemptPhase.LIVE]
        await study.let_pass(10)
        assert (await study.view(2)).phase is AttemptPhase.QUEUED


class TestRenewal:
    async def test_reports_and_heartbeats_renew(self, study: TimedStudy) -> None:
        await study.create()
        await study.ask()
        for step in range(6):
            await study.let_pass(LEASE_SECONDS - 1)
            decision = (
                await report(study.actor, 0, [(step, 0.5)])
                if step % 2
                else await heartbeat(study.actor, 0)
            )
            assert decision.lease_expires_at is not None
            assert (decision.lease_expires_at - study.now).total_seconds() == LEASE_SECONDS
        assert (await study.view(0)).phase is AttemptPhase.LIVE

    async def test_a_repeated_report_renews_too(self, study: TimedStudy) -> None:
        await study.create()
        await study.ask()
        await report(study.actor, 0, [(0, 0.5)])
        for _ in range(3):
            await study.let_pass(LEASE_SECONDS - 1)
            await report(study.actor, 0, [(0, 0.5)])
        assert (await study.view(0)).phase is AttemptPhase.LIVE

    async def test_a_look_at_the_decision_does_not(self, study: TimedStudy) -> None:
        await study.create()
        (asked,) = await study.ask()
        await study.let_pass(LEASE_SECONDS - 1)
        assert (await decide(study.actor, 0)).lease_expires_at == asked.lease_expires_at
        await study.let_pass(1)
        assert (await study.view(0)).phase is AttemptPhase.QUEUED

    async def test_heartbeats_write_at_most_every_half_lease(self, study: TimedStudy) -> None:
        await study.create()
        await study.ask()
        before = (await study.summary()).revision
        for _ in range(60):
            study.move_clock(1)
            await heartbeat(study.actor, 0)
        assert (await study.summary()).revision - before == 2
        await study.let_pass(LEASE_SECONDS - 1)
        assert (await study.view(0)).phase is AttemptPhase.LIVE

    async def test_what_was_kept_in_memory_counts(self, study: TimedStudy) -> None:
        await study.create()
        await study.ask()
        await study.let_pass(LEASE_SECONDS / 2 - 1)
        decision = await heartbeat(study.actor, 0)
        assert decision == await decide(study.actor, 0)
        await study.let_pass(LEASE_SECONDS - 1)
        assert (await study.view(0)).phase is AttemptPhase.LIVE
        await study.let_pass(1)
        assert (await study.view(0)).phase is AttemptPhase.QUEUED

    async def test_a_restart_renews_each_lease_once(self, study: TimedStudy) -> None:
        await study.create(retry=ONCE)
        await study.ask(count=2)
        await study.lose()
        await heartbeat(study.actor, 1)
        phases = (AttemptPhase.EXPIRED, AttemptPhase.LIVE)
        study.move_clock(10 * LEASE_SECONDS)
        await study.restart()
        await study.let_pass(LEASE_SECONDS - 1)
        assert ((await study.view(0)).phase, (await study.view(1)).phase) == phases
        await study.let_pass(1)
        assert (await study.view(0)).state is TrialState.FAIL
        assert (await study.view(1)).phase is AttemptPhase.EXPIRED

    async def test_what_is_refused_renews_nothing(self, study: TimedStudy) -> None:
        await study.create()
        await study.ask()
        study.move_clock(LEASE_SECONDS - 1)
        with pytest.raises(InvalidReport):
            await report(study.actor, 0, [(-1, 0.5)])
        with pytest.raises(InvalidValues):
            await tell(study.actor, 0, Outcome(TrialState.COMPLETE))
        await study.let_pass(1)
        assert (await study.view(0)).phase is AttemptPhase.QUEUED

    async def test_no_lease_lasts_for_ever(self, study: TimedStudy) -> None:
        await study.create(lease_seconds=None)
        (asked,) = await study.ask()
        assert asked.lease_expires_at is None
        assert (await heartbeat(study.actor, 0)).lease_expires_at is None
        await study.let_pass(10**8)
        await study.restart()
        await study.let_pass(10**8)
        assert (await study.view(0)).phase is AttemptPhase.LIVE
        assert (await report(study.actor, 0, [(0, 0.5)])).lease_expires_at is None
        assert (await study.complete(0)).state is TrialState.COMPLETE

    async def test_an_ask_brings_its_own_lease(self, study: TimedStudy) -> None:
        await study.create()
        await study.ask(lease_seconds=5.0)
        await study.ask(lease_seconds=None)
        await study.ask()
        await study.let_pass(5)
        await heartbeat(study.actor, 0, attempt=1)
        await study.let_pass(4)
        assert (await study.view(0)).phase is AttemptPhase.LIVE
        await study.let_pass(LEASE_SECONDS)
        phases = [(await study.view(number)).phase for number in range(3)]
        assert phases == [AttemptPhase.QUEUED, AttemptPhase.LIVE, AttemptPhase.QUEUED]

    async def test_whole_seconds_go_with_parts_of_them(self, study: TimedStudy) -> None:
        await study.create(lease_seconds=60)
        await asyncio.gather(study.ask(), study.ask(lease_seconds=2.5))
        assert (await study.summary()).counts.running == 2

    async def test_a_further_attempt_has_the_lease_of_its_own_ask(self, study: TimedStudy) -> None:
        await study.create()
        await study.ask(lease_seconds=5.0)
        await study.let_pass(5)
        await study.ask()
        await study.let_pass(LEASE_SECONDS - 1)
        assert (await study.view(0)).phase is AttemptPhase.LIVE

    async def test_a_changed_lease_is_for_new_attempts(self, study: TimedStudy) -> None:
        await study.create()
        await study.ask()
        await configure(study.actor, {"lease_seconds": 5.0}, {})
        await study.ask()
        await study.let_pass(5)
        assert (await study.view(0)).phase is AttemptPhase.LIVE
        assert (await study.view(1)).phase is AttemptPhase.QUEUED

    async def test_a_lost_attempt_without_room_is_promised_nothing(self, study: TimedStudy) -> None:
        await study.create(parallelism=1, retry=RetryPolicy(max_attempts=2))
        for _ in range(2):
            await study.ask()
            await study.lose()
        await study.ask()
        assert (await study.view(0)).phase is AttemptPhase.EXPIRED
        for decision in (
            await report(study.actor, 0, [(0, 0.5)], attempt=2),
            await report(study.actor, 0, [(0, 0.5)], attempt=2),
            await heartbeat(study.actor, 0, attempt=2),
        ):
            assert decision.lease_expires_at == study.actor.clock()
        told = await study.complete(0, attempt=1)
        assert (told.state, told.attempt) == (TrialState.COMPLETE, 2)

    async def test_a_job_slower_than_its_lease_ends_its_trial_all_the_same(
        self, study: TimedStudy
    ) -> None:
        await study.create()
        await study.ask()
        for step in range(3):
            await study.lose()
            await report(study.actor, 0, [(step, 0.5)], attempt=1)
        await study.lose()
        told = await study.complete(0, attempt=1)
        assert (told.state, told.attempt) == (TrialState.COMPLETE, 1)
        assert sorted(told.intermediate_values) == [0, 1, 2]
