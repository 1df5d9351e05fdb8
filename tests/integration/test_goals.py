"""Goals: a study stops when it is good enough, gets no better, or has tried everything."""

from dataclasses import replace
from typing import Any

import pytest

from service.domain.errors import (
    InvalidSettings,
    StudyFinished,
)
from service.domain.studies import (
    Budget,
    Component,
    Direction,
    Objective,
    StopReason,
    StudyState,
)
from service.domain.trials import AttemptPhase, Outcome, TrialState
from service.engine.configure import configure
from service.engine.import_trials import import_trials
from service.engine.report import report
from service.engine.states import resume
from service.engine.tell import tell
from tests.integration.engine_use import SPACE, new_study
from tests.integration.timed_study import DONE, LEASE_SECONDS, TimedStudy

MAXIMIZE = (Objective("value", Direction.MAXIMIZE),)
TWO = (Objective("loss", Direction.MINIMIZE), Objective("seconds", Direction.MINIMIZE))
FEW = {"c": SPACE["c"]}
EXHAUSTIBLE = [
    new_study(space=FEW, sampler=Component("GridSampler")),
    new_study(space=FEW, sampler=Component("BruteForceSampler")),
]


class TestTarget:
    @pytest.mark.parametrize(
        ("objectives", "values"),
        [((Objective("v", Direction.MINIMIZE),), (0.3, 0.2)), (MAXIMIZE, (0.1, 0.2))],
        ids=["minimize", "maximize"],
    )
    async def test_stops_when_it_is_reached(
        self, study: TimedStudy, objectives: Any, values: tuple[float, float]
    ) -> None:
        await study.create(new_study(objectives=objectives), budget=Budget(target=0.2))
        await study.ask(count=3)
        await study.complete(0, values[0])
        assert (await study.summary()).state is StudyState.ACTIVE
        await study.complete(1, values[1])
        summary = await study.summary()
        assert (summary.state, summary.stop_reason) == (StudyState.STOPPING, StopReason.TARGET)
        with pytest.raises(StudyFinished, match="target"):
            await study.ask()
        await study.complete(2)
        assert (await study.summary()).state is StudyState.FINISHED

    async def test_reports_do_not_reach_it(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(target=0.2))
        await study.ask()
        await report(study.actor, 0, [(0, 0.1)])
        await tell(study.actor, 0, Outcome(TrialState.PRUNED))
        assert (await study.summary()).state is StudyState.ACTIVE

    async def test_what_violates_a_constraint_does_not(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(target=0.2))
        await study.ask(count=2)
        await study.complete(0, 0.1, constraints={"memory": 0.5})
        assert (await study.summary()).state is StudyState.ACTIVE
        await study.complete(1, 0.15, constraints={"memory": -0.5})
        assert (await study.summary()).stop_reason is StopReason.TARGET

    async def test_an_import_may_reach_it(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(target=0.2))
        await import_trials(study.actor, [replace(DONE, values=(value,)) for value in (0.3, 0.2)])
        assert (await study.summary()).stop_reason is StopReason.TARGET

    async def test_a_better_target_opens_the_study_again(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(target=0.2))
        await study.ask(count=2)
        await study.complete(0, 0.2)
        await configure(study.actor, {"budget": {"target": 0.1}}, {})
        assert (await study.summary()).state is StudyState.ACTIVE
        await configure(study.actor, {"budget": {"target": 0.5}}, {})
        assert (await study.summary()).stop_reason is StopReason.TARGET

    async def test_lost_trials_are_not_tried_again(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(target=0.2))
        await study.ask(count=2)
        await study.let_pass(LEASE_SECONDS - 1)
        await report(study.actor, 1, [(0, 0.5)])
        await study.let_pass(2)
        assert (await study.view(0)).phase is AttemptPhase.QUEUED
        await study.complete(1, 0.2)
        with pytest.raises(StudyFinished):
            await study.ask()
        await study.let_pass(0)
        assert (await study.view(0)).state is TrialState.FAIL
        assert (await study.summary()).state is StudyState.FINISHED


class TestPatience:
    async def test_counts_trials_without_a_better_one(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(patience=2))
        await study.ask(count=9)
        await study.complete(0, 0.5)
        await study.complete(1, 0.6)
        await study.complete(2, 0.4)
        await study.complete(3, 0.4)
        await study.restart()
        assert (await study.summary()).state is StudyState.ACTIVE
        await study.complete(4, 0.45)
        assert (await study.summary()).stop_reason is StopReason.PATIENCE

    async def test_pruned_ones_too_but_no_failures(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(patience=2))
        await study.ask(count=9)
        await study.complete(0, 0.5)
        await study.fail(1)
        await tell(study.actor, 2, Outcome(TrialState.PRUNED))
        await study.fail(3)
        await study.restart()
        assert (await study.summary()).state is StudyState.ACTIVE
        await tell(study.actor, 4, Outcome(TrialState.PRUNED))
        assert (await study.summary()).stop_reason is StopReason.PATIENCE

    async def test_as_good_is_not_better_in_any_order(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(patience=2))
        await study.ask(count=9)
        for number in (5, 4, 3):
            await study.complete(number, 0.5)
        assert (await study.summary()).stop_reason is StopReason.PATIENCE

    async def test_more_of_it_opens_the_study_again(self, study: TimedStudy) -> None:
        await study.create(budget=Budget(patience=1))
        await study.ask(count=3)
        await study.complete(0, 0.5)
        await study.complete(1, 0.5)
        assert (await study.summary()).stop_reason is StopReason.PATIENCE
        await configure(study.actor, {"budget": {"patience": 2}}, {})
        assert (await study.summary()).state is StudyState.ACTIVE
        await study.complete(2, 0.5)
        assert (await study.summary()).stop_reason is StopReason.PATIENCE


class TestExhausted:
    @pytest.mark.parametrize("new", EXHAUSTIBLE, ids=["grid", "brute force"])
    async def test_stops_and_tries_lost_trials_again(self, study: TimedStudy, new: Any) -> None:
        await study.create(new)
        asked = await study.ask(count=9)
        assert sorted(trial.params["c"] for trial in asked) == ["a", "b"]
        summary = await study.summary()
        assert (summary.state, summary.stop_reason) == (
            StudyState.STOPPING,
            StopReason.EXHAUSTED,
        )
        await study.complete(0)
        await study.lose()
        (again,) = await study.ask(count=9)
        assert (again.number, again.attempt, again.params) == (1, 2, asked[1].params)
        await study.complete(1)
        assert (await study.summary()).state is StudyState.FINISHED

    @pytest.mark.parametrize("new", EXHAUSTIBLE, ids=["grid", "brute force"])
    async def test_nothing_opens_it_again(self, study: TimedStudy, new: Any) -> None:
        await study.create(new, budget=Budget(max_trials=2))
        await study.ask(count=2)
        await study.restart()
        await configure(study.actor, {"budget": {"max_trials": 20}}, {})
        with pytest.raises(StudyFinished):
            await study.ask()
        with pytest.raises(StudyFinished, match="everything"):
            await resume(study.actor)


class TestSeveralLimits:
    async def test_one_that_forbids_retries_comes_after_one_that_does_not(
        self, study: TimedStudy
    ) -> None:
        await study.create(budget=Budget(max_trials=2, target=0.2))
        await study.ask(count=2)
        assert (await study.summary()).stop_reason is StopReason.MAX_TRIALS
        await study.complete(0, 0.2)
        assert (await study.summary()).stop_reason is StopReason.TARGET
        await study.lose()
        assert (await study.view(1)).phase is AttemptPhase.EXPIRED

    @pytest.mark.parametrize("budget", [Budget(target=0.5), Budget(patience=3)])
    async def test_several_objectives_have_no_best_value(
        self, study: TimedStudy, budget: Budget
    ) -> None:
        with pytest.raises(InvalidSettings):
            await study.create(new_study(objectives=TWO), budget=budget)
        await study.create(new_study(objectives=TWO), budget=Budget(max_trials=5))
        with pytest.raises(InvalidSettings):
            await configure(study.actor, {"budget": {"target": 0.5}}, {})
