"""Pause, stop, parallelism, and asks that wait: who gets trials when not everybody does."""

import asyncio
from typing import Any

import pytest

from service.domain.errors import (
    AsktellError,
    ClientGone,
    ParallelismReached,
    StudyFinished,
    StudyPaused,
)
from service.domain.studies import Budget, StopReason, StudyState
from service.domain.trials import AttemptPhase, TrialState
from service.engine.configure import configure
from service.engine.delete import delete_study
from service.engine.enqueue import EnqueuedTrial, enqueue
from service.engine.heartbeat import heartbeat
from service.engine.import_trials import import_trials
from service.engine.report import report
from service.engine.states import pause, resume, stop
from tests.integration.timed_study import DONE, TimedStudy

LONG = 3600.0
PATIENCE_SECONDS = 20.0


async def soon(waiting: asyncio.Future[Any]) -> Any:
    """What comes long before the time is over that was to be waited."""
    return await asyncio.wait_for(waiting, PATIENCE_SECONDS)


class TestPause:
    async def test_refuses_asks_and_nothing_else(self, study: TimedStudy) -> None:
        await study.create()
        await study.ask(count=2)
        await pause(study.actor)
        assert (await study.summary()).state is StudyState.PAUSED
        with pytest.raises(StudyPaused):
            await study.ask()
        await report(study.actor, 0, [(0, 0.5)])
        await heartbeat(study.actor, 1)
        await study.complete(0)
        await enqueue(study.actor, [EnqueuedTrial({"n": 1})])
        await import_trials(study.actor, [DONE])
        counts = (await study.summary()).counts
        assert (counts.complete, counts.running, counts.waiting) == (2, 1, 1)

    async def test_lost_trials_wait_until_it_ends(self, study: TimedStudy) -> None:
        await study.create()
        await study.ask()
        await pause(study.actor)
        for _ in range(3):
            await study.lose()
        with pytest.raises(StudyPaused):
            await study.ask()
        await resume(study.actor)
        (again,) = await study.ask()
        assert (again.number, again.attempt) == (0, 2)

    async def test_twice_is_once(self, study: TimedStudy) -> None:
        await study.create()
        for change in (pause, resume, stop):
            await change(study.actor)
            before = await study.summary()
            await change(study.actor)
            assert await study.summary() == before

    async def test_outlasts_a_restart(self, study: TimedStudy) -> None:
        await study.create()
        await pause(study.actor)
        await study.restart()
        with pytest.raises(StudyPaused):
            await study.ask()
        await resume(study.actor)
        assert (await study.ask())[0].number == 0

    async def test_holds_further_attempts_back_when_the_budget_is_spent(
        self, study: TimedStudy
    ) -> None:
        await study.create(budget=Budget(max_trials=1))
        await study.ask()
        await study.lose()
        await pause(study.actor)
        with pytest.raises(StudyPaused):
            await study.ask()

    async def test_a_raised_budget_does_not_end_it(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(max_trials=1))
        await pause(study.actor)
        await configure(study.actor, {"budget": {"max_trials": 2}}, {})
        with pytest.raises(StudyPaused):
            await study.ask()


class TestStop:
    async def test_starts_nothing_and_lets_running_trials_end(self, study: TimedStudy) -> None:
        await study.create()
        await study.ask(count=2)
        await stop(study.actor)
        summary = await study.summary()
        assert (summary.state, summary.stop_reason) == (StudyState.STOPPING, StopReason.STOPPED)
        with pytest.raises(StudyFinished, match="Resume"):
            await study.ask()
        await report(study.actor, 0, [(0, 0.5)])
        await study.complete(0)
        await study.complete(1)
        assert (await study.summary()).state is StudyState.FINISHED

    async def test_refuses_what_nobody_would_be_given(self, study: TimedStudy) -> None:
        await study.create()
        await stop(study.actor)
        with pytest.raises(StudyFinished):
            await enqueue(study.actor, [EnqueuedTrial({"n": 1})])
        assert await import_trials(study.actor, [DONE]) == (0,)

    async def test_lost_trials_fail_without_another_attempt(self, study: TimedStudy) -> None:
        await study.create()
        await study.ask()
        await study.lose()
        await stop(study.actor)
        with pytest.raises(StudyFinished):
            await study.ask()
        await study.let_pass(0)
        view = await study.view(0)
        assert (view.state, view.phase) == (TrialState.FAIL, AttemptPhase.ENDED)
        assert view.reason is not None
        assert "stopped before" in view.reason
        assert (await study.summary()).state is StudyState.FINISHED

    async def test_what_is_lost_later_waits_for_a_late_result(self, study: TimedStudy) -> None:
        await study.create()
        await study.ask(count=2)
        await stop(study.actor)
        await study.lose()
        assert (await study.view(0)).phase is AttemptPhase.EXPIRED
        assert (await study.complete(0)).state is TrialState.COMPLETE
        await study.lose()
        assert (await study.view(1)).state is TrialState.FAIL
        assert (await study.summary()).state is StudyState.FINISHED

    async def test_outlasts_a_restart_and_a_raised_budget(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(max_trials=5))
        await stop(study.actor)
        await configure(study.actor, {"budget": {"max_trials": 50}}, {})
        await study.restart()
        with pytest.raises(StudyFinished):
            await study.ask()

    async def test_is_undone_by_resume(self, study: TimedStudy) -> None:
        await study.create()
        await study.ask()
        await stop(study.actor)
        await resume(study.actor)
        assert (await study.summary()).stop_reason is None
        assert (await study.ask())[0].number == 1

    async def test_resume_after_its_trials_ended(self, study: TimedStudy) -> None:
        await study.create()
        await study.ask()
        await stop(study.actor)
        await study.complete(0)
        await resume(study.actor)
        assert (await study.summary()).state is StudyState.ACTIVE

    async def test_a_lost_trial_may_wait_again_after_resume(self, study: TimedStudy) -> None:
        await study.create()
        await study.ask()
        await study.lose()
        await stop(study.actor)
        await resume(study.actor)
        await study.let_pass(0)
        assert (await study.ask())[0].attempt == 2

    async def test_takes_the_place_of_a_spent_budget(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(max_trials=1))
        await study.ask()
        await study.lose()
        await stop(study.actor)
        await study.let_pass(0)
        assert (await study.summary()).stop_reason is StopReason.STOPPED
        assert (await study.view(0)).state is TrialState.FAIL

    async def test_pause_does_not_take_it_back(self, study: TimedStudy) -> None:
        await study.create()
        await stop(study.actor)
        await pause(study.actor)
        with pytest.raises(StudyFinished):
            await study.ask()


class TestParallelism:
    async def test_gives_fewer_than_wanted(self, study: TimedStudy) -> None:
        await study.create(parallelism=3)
        assert len(await study.ask(count=2)) == 2
        assert len(await study.ask(count=9)) == 1
        with pytest.raises(ParallelismReached):
            await study.ask()
        await study.complete(0)
        assert len(await study.ask(count=9)) == 1

    async def test_is_never_exceeded(self, study: TimedStudy) -> None:
        await study.create(parallelism=7)
        answers = await asyncio.gather(
            *[study.ask(count=1 + place % 3) for place in range(30)], return_exceptions=True
        )
        asked = [trial for answer in answers if isinstance(answer, tuple) for trial in answer]
        assert len(asked) == 7
        assert {type(answer) for answer in answers} == {tuple, ParallelismReached}

    async def test_counts_further_attempts(self, study: TimedStudy) -> None:
        await study.create(parallelism=2)
        await study.ask(count=2)
        await study.lose()
        assert [trial.attempt for trial in await study.ask(count=9)] == [2, 2]
        with pytest.raises(ParallelismReached):
            await study.ask()

    async def test_does_not_count_what_waits(self, study: TimedStudy) -> None:
        await study.create(parallelism=1)
        await enqueue(study.actor, [EnqueuedTrial({"n": 1})] * 3)
        assert (await study.ask())[0].params["n"] == 1

    async def test_a_lower_one_ends_nobody(self, study: TimedStudy) -> None:
        await study.create(parallelism=3)
        await study.ask(count=3)
        await configure(study.actor, {"parallelism": 1}, {})
        for number in (0, 1):
            await study.complete(number)
            with pytest.raises(ParallelismReached):
                await study.ask()
        await study.complete(2)
        assert (await study.ask())[0].number == 3

    async def test_is_the_same_after_a_restart(self, study: TimedStudy) -> None:
        await study.create(parallelism=2)
        await study.ask()
        await study.restart()
        assert len(await study.ask(count=9)) == 1


class TestWaiting:
    async def test_ends_with_the_next_free_place(self, study: TimedStudy) -> None:
        await study.create(parallelism=1)
        await study.ask()
        waiting = asyncio.create_task(study.ask(wait_seconds=LONG))
        await study.view(0)
        assert not waiting.done()
        await study.complete(0)
        assert (await soon(waiting))[0].number == 1

    async def test_ends_with_a_lost_lease(self, study: TimedStudy) -> None:
        await study.create(parallelism=1)
        await study.ask()
        waiting = asyncio.create_task(study.ask(wait_seconds=LONG))
        await study.view(0)
        await study.lose()
        assert (await soon(waiting))[0].attempt == 2

    async def test_ends_with_a_raised_parallelism(self, study: TimedStudy) -> None:
        await study.create(parallelism=1)
        await study.ask()
        waiting = asyncio.create_task(study.ask(count=3, wait_seconds=LONG))
        await study.view(0)
        await configure(study.actor, {"parallelism": 3}, {})
        assert len(await soon(waiting)) == 2

    async def test_ends_with_a_pause(self, study: TimedStudy) -> None:
        await study.create()
        await pause(study.actor)
        waiting = asyncio.create_task(study.ask(wait_seconds=LONG))
        await study.summary()
        assert not waiting.done()
        await resume(study.actor)
        assert (await soon(waiting))[0].number == 0

    async def test_ends_with_the_study(self, study: TimedStudy) -> None:
        await study.create(parallelism=1)
        await study.ask()
        waiting = asyncio.create_task(study.ask(wait_seconds=LONG))
        await study.view(0)
        await stop(study.actor)
        with pytest.raises(StudyFinished):
            await soon(waiting)

    async def test_ends_with_its_deletion(self, study: TimedStudy) -> None:
        await study.create(parallelism=1)
        await study.ask()
        waiting = asyncio.create_task(study.ask(wait_seconds=LONG))
        await study.view(0)
        await delete_study(study.engine, "s")
        with pytest.raises(AsktellError):
            await soon(waiting)

    @pytest.mark.parametrize("wait_seconds", [0.0, 0.05])
    async def test_is_refused_in_the_end(self, study: TimedStudy, wait_seconds: float) -> None:
        await study.create(parallelism=1)
        await study.ask()
        with pytest.raises(ParallelismReached):
            await study.ask(wait_seconds=wait_seconds)
        await pause(study.actor)
        with pytest.raises(StudyPaused):
            await study.ask(wait_seconds=wait_seconds)

    async def test_several_get_one_place_each(self, study: TimedStudy) -> None:
        await study.create(parallelism=2)
        await study.ask(count=2)
        waiting = [asyncio.create_task(study.ask(wait_seconds=LONG)) for _ in range(4)]
        await study.view(0)
        for number in range(4):
            await study.complete(number)
            finished, rest = await asyncio.wait(
                waiting, timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            assert len(finished) == 1
            waiting = list(rest)
        assert (await study.summary()).started == 6

    async def test_a_repeat_with_the_same_key_waits_along(self, study: TimedStudy) -> None:
        await study.create(parallelism=1)
        await study.ask()
        both = asyncio.gather(
            *[study.ask(wait_seconds=LONG, idempotency_key="k") for _ in range(2)]
        )
        await study.view(0)
        await study.complete(0)
        first, second = await soon(both)
        assert first == second
        assert (await study.summary()).started == 2

    async def test_a_refusal_is_not_kept_for_its_key(self, study: TimedStudy) -> None:
        await study.create(parallelism=1)
        await study.ask()
        with pytest.raises(ParallelismReached):
            await study.ask(idempotency_key="k")
        await study.complete(0)
        assert (await study.ask(idempotency_key="k"))[0].number == 1

    async def test_it_gets_nothing_that_a_vanished_client_was_to_have(
        self, study: TimedStudy
    ) -> None:
        await study.create(parallelism=1)
        await study.ask()
        gone = asyncio.create_task(study.ask(wait_seconds=LONG))
        await study.view(0)
        gone.cancel()
        await asyncio.wait([gone])
        await study.complete(0)
        assert (await study.ask())[0].number == 1

    async def test_gives_nothing_to_a_client_that_has_left(self, study: TimedStudy) -> None:
        async def has_left() -> bool:
            return False

        await study.create(parallelism=1)
        await study.ask()
        waiting = asyncio.create_task(study.ask(wait_seconds=LONG, is_wanted=has_left))
        await study.view(0)
        await study.complete(0)
        with pytest.raises(ClientGone):
            await soon(waiting)
        assert (await study.ask())[0].number == 1
