"""Attempts: who speaks for a trial when its job was slow, and what happens after a failure."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from service.domain.errors import (
    AlreadyTold,
    AsktellError,
    Invalid,
    LeaseLost,
    ParallelismReached,
    TrialNotRunning,
)
from service.domain.studies import AttemptEnd, Component, RetryPolicy, StudyState
from service.domain.trials import AttemptPhase, Outcome, TrialState
from service.engine.actor import Actor
from service.engine.configure import configure
from service.engine.heartbeat import heartbeat
from service.engine.prune import decide
from service.engine.report import report
from service.engine.states import stop
from service.engine.tell import tell
from tests.integration.engine_use import new_study
from tests.integration.timed_study import LEASE_SECONDS, TimedStudy

THRESHOLD = Component("ThresholdPruner", {"upper": 1.0})
ONCE = RetryPolicy(max_attempts=1)


Call = Callable[[Actor, int, int | None], Awaitable[Any]]


async def _report(actor: Actor, number: int, attempt: int | None) -> Any:
    return await report(actor, number, [(7, 0.5)], attempt=attempt)


async def _heartbeat(actor: Actor, number: int, attempt: int | None) -> Any:
    return await heartbeat(actor, number, attempt=attempt)


async def _prune(actor: Actor, number: int, attempt: int | None) -> Any:
    return await decide(actor, number, attempt=attempt)


async def _tell(actor: Actor, number: int, attempt: int | None) -> Any:
    return await tell(actor, number, Outcome(TrialState.COMPLETE, (1.0,), attempt=attempt))


CALLS = {"report": _report, "heartbeat": _heartbeat, "prune": _prune, "tell": _tell}
RENEWALS = {"report": _report, "heartbeat": _heartbeat}


class TestLateCalls:
    async def test_a_late_result_cancels_the_further_attempt(self, study: TimedStudy) -> None:
        await study.create()
        await study.ask()
        await study.lose()
        told = await study.complete(0, 0.5, attempt=1)
        assert (told.state, told.phase, told.values) == (
            TrialState.COMPLETE,
            AttemptPhase.ENDED,
            (0.5,),
        )
        assert await study.view(0) == told
        assert (await study.ask())[0].number == 1

    async def test_a_result_of_the_attempt_before_last_cancels_it_too(
        self, study: TimedStudy
    ) -> None:
        await study.create()
        await study.ask()
        await study.lose()
        await study.ask()
        await study.lose()
        told = await study.complete(0, attempt=1)
        assert (told.state, told.attempt) == (TrialState.COMPLETE, 2)
        assert (await study.ask())[0].number == 1

    @pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
    async def test_a_newer_live_attempt_sends_the_older_away(
        self, study: TimedStudy, call: Call
    ) -> None:
        await study.create()
        await study.ask()
        await study.lose()
        await study.ask()
        study.move_clock(1)
        before = await study.view(0), await decide(study.actor, 0)
        with pytest.raises(LeaseLost):
            await call(study.actor, 0, 1)
        assert (await study.view(0), await decide(study.actor, 0)) == before
        await call(study.actor, 0, 2)

    @pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
    async def test_nobody_speaks_for_an_attempt_to_come(
        self, study: TimedStudy, call: Call
    ) -> None:
        await study.create()
        await study.ask()
        before = await study.view(0)
        for attempt in (0, 2):
            with pytest.raises(Invalid):
                await call(study.actor, 0, attempt)
        await study.lose()
        with pytest.raises(Invalid):
            await call(study.actor, 0, 2)
        assert (await study.view(0)).intermediate_values == before.intermediate_values

    @pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
    async def test_without_an_attempt_whoever_is_at_it_speaks(
        self, study: TimedStudy, call: Call
    ) -> None:
        await study.create()
        await study.ask()
        await study.lose()
        await study.ask()
        await call(study.actor, 0, None)
        assert (await study.view(0)).attempt == 2

    @pytest.mark.parametrize("call", RENEWALS.values(), ids=RENEWALS)
    async def test_a_sign_of_life_makes_a_lost_attempt_live_again(
        self, study: TimedStudy, call: Call
    ) -> None:
        await study.create()
        await study.ask()
        await study.lose()
        await call(study.actor, 0, 1)
        view = await study.view(0)
        assert (view.phase, view.attempt) == (AttemptPhase.LIVE, 1)
        assert (await study.ask())[0].number == 1
        await study.let_pass(LEASE_SECONDS - 1)
        assert (await study.view(0)).phase is AttemptPhase.LIVE

    @pytest.mark.parametrize("policy", [ONCE, RetryPolicy()], ids=["expired", "queued"])
    @pytest.mark.parametrize("call", RENEWALS.values(), ids=RENEWALS)
    async def test_but_only_where_parallelism_has_room(
        self, study: TimedStudy, call: Call, policy: RetryPolicy
    ) -> None:
        await study.create(parallelism=1, retry=policy)
        await study.ask()
        await study.lose()
        phase = (await study.view(0)).phase
        assert (await study.ask(params={"n": 1}))[0].number == 1
        await call(study.actor, 0, 1)
        assert (await study.view(0)).phase is phase
        await study.complete(1)
        await call(study.actor, 0, 1)
        assert (await study.view(0)).phase is AttemptPhase.LIVE
        with pytest.raises(ParallelismReached):
            await study.ask()

    async def test_a_report_without_room_is_stored_all_the_same(self, study: TimedStudy) -> None:
        await study.create(parallelism=1, retry=ONCE)
        await study.ask()
        await study.lose()
        await study.ask()
        await report(study.actor, 0, [(3, 0.25)], attempt=1)
        view = await study.view(0)
        assert (view.phase, view.intermediate_values) == (AttemptPhase.EXPIRED, {3: 0.25})

    @pytest.mark.parametrize("call", ["report", "heartbeat"])
    async def test_nothing_is_renewed_after_the_end(self, study: TimedStudy, call: str) -> None:
        await study.create()
        await study.ask()
        await study.complete(0)
        with pytest.raises(TrialNotRunning):
            await CALLS[call](study.actor, 0, 1)

    async def test_an_older_attempt_cannot_contradict_the_end(self, study: TimedStudy) -> None:
        await study.create()
        await study.ask()
        await study.lose()
        await study.ask()
        await study.complete(0, 0.5, attempt=2)
        with pytest.raises(AlreadyTold):
            await study.complete(0, 0.75, attempt=1)
        assert (await study.view(0)).values == (0.5,)


class TestLastAttempt:
    async def test_it_stays_running_outside_parallelism(self, study: TimedStudy) -> None:
        await study.create(parallelism=1, retry=ONCE)
        await study.ask()
        with pytest.raises(ParallelismReached):
            await study.ask()
        await study.lose()
        view = await study.view(0)
        assert (view.state, view.phase) == (TrialState.RUNNING, AttemptPhase.EXPIRED)
        assert (await study.ask())[0].number == 1

    async def test_a_late_result_is_taken(self, study: TimedStudy) -> None:
        await study.create(retry=ONCE)
        await study.ask()
        await study.lose()
        told = await study.complete(0, 0.5, attempt=1)
        assert (told.state, told.values) == (TrialState.COMPLETE, (0.5,))

    async def test_it_fails_after_one_more_lease_time(self, study: TimedStudy) -> None:
        await study.create(retry=ONCE)
        await study.ask()
        await study.lose()
        await study.let_pass(LEASE_SECONDS - 1)
        assert (await study.view(0)).phase is AttemptPhase.EXPIRED
        await study.let_pass(1)
        view = await study.view(0)
        assert (view.state, view.phase) == (TrialState.FAIL, AttemptPhase.ENDED)
        assert view.reason is not None
        assert "60 seconds" in view.reason
        with pytest.raises(AlreadyTold):
            await study.complete(0)

    async def test_it_is_pruned_after_all_if_the_pruner_said_so(self, study: TimedStudy) -> None:
        await study.create(new_study(pruner=THRESHOLD), parallelism=1, retry=ONCE)
        await study.ask()
        await study.lose()
        await study.ask()
        assert (await report(study.actor, 0, [(0, 2.0)])).should_prune
        await study.lose()
        assert (await study.view(0)).state is TrialState.PRUNED

    async def test_as_many_attempts_as_the_policy_has(self, study: TimedStudy) -> None:
        await study.create(retry=RetryPolicy(max_attempts=3))
        for attempt in (1, 2, 3):
            (asked,) = await study.ask()
            assert (asked.number, asked.attempt) == (0, attempt)
            await study.lose()
        assert (await study.view(0)).phase is AttemptPhase.EXPIRED
        assert (await study.ask())[0].number == 1

    async def test_none_when_the_policy_does_not_list_it(self, study: TimedStudy) -> None:
        await study.create(retry=RetryPolicy(on=frozenset({AttemptEnd.FAILED})))
        await study.ask()
        await study.lose()
        assert (await study.view(0)).phase is AttemptPhase.EXPIRED

    async def test_an_earlier_attempt_may_still_end_it(self, study: TimedStudy) -> None:
        await study.create(retry=RetryPolicy(max_attempts=2))
        await study.ask()
        await study.lose()
        await study.ask()
        await study.lose()
        assert (await study.view(0)).phase is AttemptPhase.EXPIRED
        assert (await study.complete(0, attempt=1)).state is TrialState.COMPLETE


class TestToldFailures:
    async def test_a_preempted_trial_is_tried_again(self, study: TimedStudy) -> None:
        await study.create()
        await study.ask()
        told = await study.fail(0, cause=AttemptEnd.PREEMPTED, reason="spot instance gone")
        assert (told.state, told.phase, told.reason) == (
            TrialState.RUNNING,
            AttemptPhase.QUEUED,
            "spot instance gone",
        )
        assert await study.view(0) == told
        (again,) = await study.ask()
        assert (again.number, again.attempt) == (0, 2)

    async def test_a_failed_one_is_not_unless_listed(self, study: TimedStudy) -> None:
        await study.create()
        await study.ask()
        assert (await study.fail(0)).state is TrialState.FAIL
        await configure(study.actor, {"retry": {"on": ["failed"]}}, {})
        await study.ask()
        assert (await study.fail(1)).phase is AttemptPhase.QUEUED

    async def test_only_as_often_as_the_policy_has(self, study: TimedStudy) -> None:
        await study.create(retry=RetryPolicy(max_attempts=2))
        await study.ask()
        await study.fail(0, cause=AttemptEnd.PREEMPTED)
        await study.ask()
        told = await study.fail(0, cause=AttemptEnd.PREEMPTED, reason="again")
        assert (told.state, told.reason) == (TrialState.FAIL, "again")

    async def test_a_repeat_does_not_cost_an_attempt(self, study: TimedStudy) -> None:
        await study.create()
        await study.ask()
        first = await study.fail(0, cause=AttemptEnd.PREEMPTED, attempt=1)
        assert await study.fail(0, cause=AttemptEnd.PREEMPTED, attempt=1) == first
        assert (await study.ask())[0].attempt == 2

    async def test_it_leaves_room_at_once(self, study: TimedStudy) -> None:
        await study.create(parallelism=1)
        await study.ask()
        await study.fail(0, cause=AttemptEnd.PREEMPTED)
        assert (await study.ask())[0].attempt == 2

    async def test_one_without_a_lease_ends_when_its_study_stops(self, study: TimedStudy) -> None:
        await study.create(lease_seconds=None)
        await study.ask()
        await study.fail(0, cause=AttemptEnd.PREEMPTED)
        await stop(study.actor)
        await study.let_pass(0)
        assert (await study.view(0)).state is TrialState.FAIL
        assert (await study.summary()).state is StudyState.FINISHED

    async def test_its_own_words_are_kept_as_the_reason(self, study: TimedStudy) -> None:
        await study.create()
        await study.ask()
        await study.fail(0, cause=AttemptEnd.PREEMPTED)
        await stop(study.actor)
        await study.let_pass(0)
        view = await study.view(0)
        assert view.state is TrialState.FAIL
        assert view.reason is not None
        assert "was lost" not in view.reason

    async def test_a_stray_heartbeat_does_not_take_it_back(self, study: TimedStudy) -> None:
        await study.create()
        await study.ask()
        await study.fail(0, cause=AttemptEnd.PREEMPTED, attempt=1)
        with suppress(AsktellError):
            await heartbeat(study.actor, 0, attempt=1)
        (again,) = await study.ask()
        assert (again.number, again.attempt) == (0, 2)
