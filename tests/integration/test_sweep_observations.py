"""What workers say of the attempts of a sweep, and what comes of it."""

import pytest

from service.domain.attempts import (
    AttemptState,
    Ending,
    EndingKind,
    Observation,
    StopCause,
)
from service.domain.errors import (
    AttemptNotFound,
    AttemptSuperseded,
    InvalidReport,
    StudyFinished,
)
from service.domain.studies import (
    AttemptEnd,
    Budget,
    Component,
    Direction,
    Objective,
    RetryPolicy,
    StopReason,
    StudyState,
)
from service.domain.trials import AttemptPhase, Outcome, TrialState
from service.engine import states
from service.engine.ask import Ask, ask
from service.engine.configure import configure
from service.engine.observe import observe
from service.engine.report import report
from service.engine.tell import tell
from tests.integration.sweep_use import (
    ADA,
    BOB,
    new_sweep,
    row,
    rows,
    see,
    see_exit,
    take,
    take_any,
    wanted,
)
from tests.integration.timed_study import TimedStudy

THRESHOLD = Component("ThresholdPruner", {"upper": 0.5})


async def test_exit_0_with_a_value_completes_the_trial(study: TimedStudy) -> None:
    await study.create(new_sweep())
    (attempt,) = await take(study)
    await see(study, attempt, points=((0, 0.3), (1, 0.2)))
    told = await see_exit(study, attempt, values={"value": 0.2, "other": 1.0})
    assert told.is_over
    view = await study.view(0)
    assert (view.state, view.values) == (TrialState.COMPLETE, (0.2,))
    assert view.intermediate_values == {0: 0.3, 1: 0.2}
    assert row(study)["state"] == "succeeded"
    assert row(study)["exit_code"] == 0
    assert row(study)["ended_at"] is not None


async def test_a_value_that_was_only_reported_counts_as_well(study: TimedStudy) -> None:
    await study.create(new_sweep())
    (attempt,) = await take(study)
    await report(study.actor, 0, [(3, 0.5), (1, 0.9)], attempt=1)
    await see_exit(study, attempt)
    assert (await study.view(0)).values == (0.5,)


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        (Ending(EndingKind.EXITED, 0), "without a value of 'value'"),
        (Ending(EndingKind.EXITED, 0, values={"value": float("nan")}), "'value' was nan"),
        (Ending(EndingKind.EXITED, 0, values={"value": float("inf")}), "'value' was inf"),
        (Ending(EndingKind.EXITED, 1, values={"value": 1.0}), "exit code 1"),
        (Ending(EndingKind.EXITED, signal=9, values={"value": 1.0}), "killed by SIGKILL"),
        (Ending(EndingKind.EXITED, signal=15), "ended by SIGTERM"),
        (Ending(EndingKind.EXITED, signal=63), "signal 63"),
        (Ending(EndingKind.FAILED), "nothing tells how"),
        (Ending(EndingKind.TIMED_OUT, signal=2), "its timeout_seconds, 5"),
        (Ending(EndingKind.NOT_STARTED, message="train.py: no such file."), "no such file"),
    ],
)
async def test_whatever_else_fails_it_and_says_why(
    study: TimedStudy, ending: Ending, said: str
) -> None:
    await study.create(new_sweep())
    (attempt,) = await take(study)
    told = await see(study, attempt, ending=ending)
    assert told.is_over
    view = await study.view(0)
    assert view.state is TrialState.FAIL
    assert said in (view.reason or "")
    assert row(study)["state"] == "failed"
    assert row(study)["reason"] == view.reason


async def test_what_failed_outside_says_itself_how(study: TimedStudy) -> None:
    await study.create(new_sweep())
    (attempt,) = await take(study)
    ending = Ending(EndingKind.FAILED, 0, message="Its run failed.", values={"value": 1.0})
    assert (await see(study, attempt, ending=ending)).is_over
    view = await study.view(0)
    assert (view.state, view.reason) == (TrialState.FAIL, "Its run failed.")
    assert (row(study)["state"], row(study)["exit_code"]) == ("failed", 0)


async def test_what_no_attempt_can_ever_start_ends_the_sweep(study: TimedStudy) -> None:
    await study.create(new_sweep(), retry=RetryPolicy(max_attempts=5), parallelism=2)
    first, second = await take_any(study, 2)
    ending = Ending(EndingKind.REFUSED, message="train.quad@v1 has no input 'x'.")
    assert (await see(study, first, ending=ending)).is_over

    view = await study.view(0)
    assert (view.state, view.reason) == (TrialState.FAIL, "train.quad@v1 has no input 'x'.")
    assert study.actor.state is StudyState.STOPPING
    assert wanted(study) == 0
    await see(study, second, ending=ending)
    assert study.actor.state is StudyState.FINISHED
    assert study.actor.control.stop_reason is StopReason.REFUSED


async def test_a_refused_sweep_is_resumed_once_the_reason_is_gone(study: TimedStudy) -> None:
    await study.create(new_sweep(), parallelism=1)
    (attempt,) = await take_any(study, 1)
    await see(study, attempt, ending=Ending(EndingKind.REFUSED, message="No such queue."))
    with pytest.raises(StudyFinished, match="Mend that and resume it, or create another one"):
        await ask(study.actor, Ask())

    await states.resume(study.actor)
    assert wanted(study) == 1


async def test_resume_after_refused_trials_used_up_the_budget_says_how(study: TimedStudy) -> None:
    await study.create(new_sweep(), budget=Budget(max_trials=1))
    (attempt,) = await take_any(study, 1)
    await see(study, attempt, ending=Ending(EndingKind.REFUSED, message="No such queue."))
    name = study.actor.spec.name
    with pytest.raises(StudyFinished, match=f"`asktell sweep set {name} --trials N`, then resume"):
        await states.resume(study.actor)

    await configure(study.actor, {"budget": {"max_trials": 2}}, {})
    await states.resume(study.actor)
    assert wanted(study) == 1


@pytest.mark.parametrize(
    ("kind", "state"),
    [(EndingKind.PREEMPTED, "preempted"), (EndingKind.VANISHED, "lost")],
)
async def test_what_is_nobodys_fault_is_tried_again(
    study: TimedStudy, kind: EndingKind, state: str
) -> None:
    await study.create(new_sweep(), budget=Budget(max_trials=1))
    (attempt,) = await take(study)
    await see(study, attempt, points=((0, 0.3),))
    assert (await see(study, attempt, ending=Ending(kind))).is_over
    assert row(study)["state"] == state
    assert wanted(study) == 1
    (again,) = await take_any(study, 1, BOB)
    assert (again.launch.number, again.launch.attempt) == (0, 2)
    assert (await study.view(0)).intermediate_values == {}
    with pytest.raises(AttemptSuperseded):
        await see(study, attempt)


async def test_what_a_worker_had_to_give_up_is_never_the_last_attempt(study: TimedStudy) -> None:
    await study.create(new_sweep(), retry=RetryPolicy(max_attempts=2))
    for number in range(1, 5):
        (attempt,) = await take(study)
        assert (attempt.launch.number, attempt.launch.attempt) == (0, number)
        await see(study, attempt, ending=Ending(EndingKind.PREEMPTED))
    (attempt,) = await take(study)
    told = Outcome(TrialState.FAIL, attempt=5, cause=AttemptEnd.PREEMPTED)
    assert (await tell(study.actor, 0, told)).state is TrialState.FAIL


async def test_a_failure_is_tried_again_if_the_policy_says_so(study: TimedStudy) -> None:
    retry = RetryPolicy(max_attempts=2, on=frozenset({AttemptEnd.FAILED}))
    await study.create(new_sweep(), retry=retry)
    (first,) = await take(study)
    await see_exit(study, first, 1)
    (second,) = await take(study)
    assert second.launch.attempt == 2
    await see_exit(study, second, 1)
    assert (await study.view(0)).state is TrialState.FAIL
    assert [each["state"] for each in rows(study)] == ["failed", "failed"]


async def test_repeating_it_changes_nothing(study: TimedStudy) -> None:
    await study.create(new_sweep())
    (attempt,) = await take(study)
    for _ in range(2):
        await see(study, attempt, points=((0, 0.3),))
    before = await study.summary()
    told = [await see_exit(study, attempt, values={"value": 0.3}) for _ in range(3)]
    assert [each.is_over for each in told] == [True, True, True]
    assert (await study.summary()).revision == before.revision + 1


async def test_a_pruned_attempt_is_stopped_and_its_result_never_depends_on_when(
    study: TimedStudy,
) -> None:
    await study.create(new_sweep(pruner=THRESHOLD))
    (attempt,) = await take(study)
    assert (await see(study, attempt, points=((0, 0.1),))).stop is None
    told = await see(study, attempt, points=((1, 0.9), (2, 0.2), (3, 0.1)))
    assert told.stop is StopCause.PRUNED
    assert (await see(study, attempt, points=((4, 0.1),))).stop is StopCause.PRUNED
    await see(study, attempt, AttemptState.STOPPING)
    assert row(study)["stop"] == "pruned"
    assert row(study)["state"] == "stopping"
    await see_exit(study, attempt, values={"value": 0.1})
    view = await study.view(0)
    assert (view.state, view.values) == (TrialState.PRUNED, (0.9,))
    assert view.intermediate_values == {0: 0.1, 1: 0.9}
    assert row(study)["state"] == "pruned"


async def test_a_lost_worker_makes_room_for_another_attempt(study: TimedStudy) -> None:
    await study.create(new_sweep(), parallelism=1)
    (attempt,) = await take(study)
    await study.lose()
    assert (await study.view(0)).phase is AttemptPhase.QUEUED
    (again,) = await take_any(study, 1, BOB)
    assert again.launch.attempt == 2
    assert [each["state"] for each in rows(study)] == ["lost", "launching"]
    with pytest.raises(AttemptSuperseded):
        await see_exit(study, attempt, values={"value": 0.1})
    assert await take_any(study, 0, ADA) == []


async def test_a_worker_that_comes_back_in_time_goes_on(study: TimedStudy) -> None:
    await study.create(new_sweep(), parallelism=1)
    (attempt,) = await take(study)
    await study.lose()
    assert (await see(study, attempt, points=((0, 0.2),))).stop is None
    assert (await study.view(0)).phase is AttemptPhase.LIVE
    await see_exit(study, attempt, values={"value": 0.2})
    assert row(study)["state"] == "succeeded"


async def test_the_last_attempt_that_is_lost_fails_its_trial(study: TimedStudy) -> None:
    await study.create(new_sweep(), retry=RetryPolicy(max_attempts=1))
    await take(study)
    await study.lose()
    await study.lose()
    assert (await study.view(0)).state is TrialState.FAIL
    assert row(study)["state"] == "lost"


async def test_an_observation_keeps_an_attempt_alive(study: TimedStudy) -> None:
    await study.create(new_sweep())
    (attempt,) = await take(study)
    for _ in range(5):
        await study.let_pass(50)
        await see(study, attempt)
    assert (await study.view(0)).phase is AttemptPhase.LIVE


async def test_the_programs_own_word_ends_the_attempt(study: TimedStudy) -> None:
    await study.create(new_sweep())
    (attempt,) = await take(study)
    await tell(study.actor, 0, Outcome(TrialState.COMPLETE, (0.7,), attempt=1))
    assert row(study)["state"] == "succeeded"
    told = await see(study, attempt)
    assert (told.stop, told.is_over) == (StopCause.OVER, True)
    await see_exit(study, attempt, 1)
    assert (await study.view(0)).values == (0.7,)


async def test_a_failure_told_and_seen_after_the_lease_closes_the_attempt(
    study: TimedStudy,
) -> None:
    retry = RetryPolicy(on=frozenset({AttemptEnd.FAILED, AttemptEnd.LOST}))
    await study.create(new_sweep(), parallelism=1, retry=retry)
    (late,) = await take(study)
    await study.lose()
    await ask(study.actor, Ask(params={"x": 0.5}))
    assert (await see_exit(study, late, 1)).is_over
    assert row(study)["state"] == "failed"


async def test_several_objectives_take_values_but_no_points(study: TimedStudy) -> None:
    objectives = (Objective("a", Direction.MINIMIZE), Objective("b", Direction.MAXIMIZE))
    await study.create(new_sweep(objectives=objectives))
    (attempt, other) = await take(study, 2)
    with pytest.raises(InvalidReport):
        await see(study, attempt, points=((0, 1.0),))
    await see_exit(study, attempt, values={"b": 2.0, "a": 1.0})
    assert (await study.view(0)).values == (1.0, 2.0)
    await see_exit(study, other, values={"b": 2.0})
    assert "'a'" in ((await study.view(1)).reason or "")


async def test_only_attempts_of_workers_are_observed(study: TimedStudy) -> None:
    await study.create(new_sweep())
    await take(study)
    await ask(study.actor, Ask())
    for number, attempt in ((1, 1), (0, 2)):
        seen = Observation(attempt, 1, AttemptState.RUNNING)
        with pytest.raises(AttemptNotFound):
            await observe(study.actor, number, seen)
