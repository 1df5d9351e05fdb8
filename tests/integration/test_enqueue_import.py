"""Trials that people bring: parameters to be tried, results from elsewhere, and their keys."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import optuna
import pytest

from service.domain.errors import (
    IdempotencyKeyReused,
    Invalid,
    InvalidParams,
    InvalidReport,
    InvalidSpace,
    InvalidValues,
    TrialNotRunning,
)
from service.domain.studies import Budget, Component, Direction, Objective
from service.domain.trials import AttemptPhase, Outcome, TrialState
from service.engine.create import create_study
from service.engine.enqueue import EnqueuedTrial, enqueue
from service.engine.heartbeat import heartbeat
from service.engine.import_trials import ImportedTrial, import_trials
from service.engine.report import report
from service.engine.suggest import suggest
from service.engine.tell import tell
from tests.integration.engine_use import SPACE, new_study
from tests.integration.timed_study import DONE, PARAMS, TimedStudy
from tests.plain_optuna import open_rdb_storage

TWO = (Objective("loss", Direction.MINIMIZE), Objective("seconds", Direction.MINIMIZE))
NARROW = {"n": {"type": "int", "low": 1, "high": 4}}
YEAR_AGO = datetime(2025, 1, 1, tzinfo=UTC)


class TestEnqueue:
    async def test_is_asked_for_in_the_order_of_numbers(self, study: TimedStudy) -> None:
        await study.create()
        assert await enqueue(study.actor, [EnqueuedTrial({"n": 5}), EnqueuedTrial({"n": 3})]) == (
            0,
            1,
        )
        assert await enqueue(study.actor, [EnqueuedTrial({"n": 7})]) == (2,)
        asked = await study.ask(count=5)
        assert [trial.number for trial in asked] == [0, 1, 2, 3, 4]
        assert [trial.params["n"] for trial in asked[:3]] == [5, 3, 7]
        assert all(set(trial.params) == set(SPACE) for trial in asked)

    async def test_comes_after_further_attempts_and_before_new_trials(
        self, study: TimedStudy
    ) -> None:
        await study.create()
        await study.ask(count=2)
        await enqueue(study.actor, [EnqueuedTrial({"n": 5})])
        await study.lose()
        asked = await study.ask(count=4)
        assert [(trial.number, trial.attempt) for trial in asked] == [
            (0, 2),
            (1, 2),
            (2, 1),
            (3, 1),
        ]

    async def test_waits_without_an_end(self, study: TimedStudy) -> None:
        await study.create()
        await enqueue(study.actor, [EnqueuedTrial({"n": 5}, {"why": "paper"})])
        for _ in range(3):
            await study.lose()
        await study.restart()
        view = await study.view(0)
        assert (view.state, view.phase, view.attempt) == (
            TrialState.WAITING,
            AttemptPhase.QUEUED,
            0,
        )
        assert view.user_attrs == {"why": "paper"}
        (asked,) = await study.ask()
        assert (asked.number, asked.attempt, asked.params["n"]) == (0, 1, 5)

    async def test_nobody_speaks_for_it_before_it_is_asked_for(self, study: TimedStudy) -> None:
        await study.create()
        await enqueue(study.actor, [EnqueuedTrial({"n": 5})])
        calls = [
            report(study.actor, 0, [(0, 0.5)]),
            heartbeat(study.actor, 0),
            suggest(study.actor, 0, NARROW),
            study.complete(0),
        ]
        for call in calls:
            with pytest.raises(TrialNotRunning):
                await call
        assert (await study.view(0)).state is TrialState.WAITING

    async def test_is_all_or_nothing(self, study: TimedStudy) -> None:
        await study.create()
        for bad in ({"n": 10}, {"n": 1.5}, {"m": 1}, {"c": "z"}, {"x": float("nan")}):
            with pytest.raises(InvalidParams):
                await enqueue(study.actor, [EnqueuedTrial({"n": 5}), EnqueuedTrial(bad)])
        assert (await study.summary()).counts.total == 0

    async def test_a_lost_one_is_tried_again_with_its_values(self, study: TimedStudy) -> None:
        await study.create()
        await enqueue(study.actor, [EnqueuedTrial({"n": 5})])
        (first,) = await study.ask()
        await study.lose()
        (again,) = await study.ask()
        assert (again.number, again.attempt, again.params) == (0, 2, first.params)

    async def test_plain_optuna_sees_it_wait(self, study: TimedStudy) -> None:
        await study.create()
        await enqueue(study.actor, [EnqueuedTrial({"n": 5})])
        with open_rdb_storage(study.database) as storage:
            (trial,) = optuna.load_study(study_name="s", storage=storage).trials
        assert trial.state is optuna.trial.TrialState.WAITING
        assert trial.system_attrs["fixed_params"] == {"n": 5}

    async def test_values_out_of_a_later_range_end_the_trial_and_the_ask_goes_on(
        self, study: TimedStudy
    ) -> None:
        await study.create(new_study(space=None))
        await enqueue(study.actor, [EnqueuedTrial({"n": 9}), EnqueuedTrial({"n": 3})])
        (asked,) = await study.ask(distributions=NARROW)
        assert (asked.number, asked.params) == (1, {"n": 3})
        view = await study.view(0)
        assert (view.state, view.phase) == (TrialState.FAIL, AttemptPhase.ENDED)
        assert view.reason is not None
        assert "n" in view.reason
        assert (await study.ask(distributions=NARROW))[0].number == 2

    async def test_and_the_ask_gets_as_many_as_there_are(self, study: TimedStudy) -> None:
        await study.create(new_study(space=None), budget=Budget(max_trials=4))
        await enqueue(study.actor, [EnqueuedTrial({"n": n}) for n in (9, 3, 8)])
        assert [trial.number for trial in await study.ask(count=3, distributions=NARROW)] == [1]
        assert [trial.number for trial in await study.ask(count=9, distributions=NARROW)] == [3]
        assert (await study.summary()).started == 4

    async def test_values_of_a_declaring_program_are_checked_when_it_declares(
        self, study: TimedStudy
    ) -> None:
        await study.create(new_study(space=None))
        await enqueue(study.actor, [EnqueuedTrial({"n": 9})])
        await study.ask()
        with pytest.raises(InvalidParams):
            await suggest(study.actor, 0, NARROW)
        assert await suggest(study.actor, 0, {"n": SPACE["n"]}) == {"n": 9}


class TestImport:
    async def test_stores_what_optuna_would(self, study: TimedStudy) -> None:
        await study.create()
        pruned = ImportedTrial(TrialState.PRUNED, PARAMS, intermediate_values={0: 0.5, 3: 0.25})
        failed = ImportedTrial(TrialState.FAIL, PARAMS, reason="out of memory")
        full = replace(
            DONE,
            intermediate_values={1: 0.75},
            user_attrs={"gpu": 1},
            constraints={"memory": -1.0},
            started_at=YEAR_AGO,
            finished_at=YEAR_AGO + timedelta(minutes=5),
        )
        assert await import_trials(study.actor, [full, pruned, failed]) == (0, 1, 2)
        with open_rdb_storage(study.database) as storage:
            trials = optuna.load_study(study_name="s", storage=storage).trials
        assert [trial.values for trial in trials] == [[1.0], [0.25], None]
        assert [trial.params for trial in trials] == [PARAMS] * 3
        assert trials[0].datetime_start == YEAR_AGO.replace(tzinfo=None)
        assert trials[0].duration == timedelta(minutes=5)
        assert trials[0].system_attrs["constraints"] == [-1.0]
        assert (trials[0].user_attrs, trials[0].intermediate_values) == ({"gpu": 1}, {1: 0.75})
        assert (await study.view(0)).constraints == {"memory": -1.0}
        assert (await study.view(2)).reason == "out of memory"

    async def test_is_the_best_if_it_is(self, study: TimedStudy) -> None:
        await study.create()
        await import_trials(study.actor, [DONE, replace(DONE, values=(0.5,))])
        best = (await study.summary()).best
        assert best is not None
        assert (best.number, best.value) == (1, 0.5)
        await study.restart()
        (asked,) = await study.ask()
        assert asked.number == 2
        assert (await study.complete(2, 0.75)).state is TrialState.COMPLETE
        best = (await study.summary()).best
        assert best is not None
        assert best.number == 1

    async def test_declares_its_own_distributions_where_the_study_does_not(
        self, study: TimedStudy
    ) -> None:
        await study.create(new_study(space=None))
        trial = ImportedTrial(TrialState.COMPLETE, {"n": 3}, NARROW, values=(1.0,))
        assert await import_trials(study.actor, [trial]) == (0,)
        assert (await study.view(0)).params == {"n": 3}

    @pytest.mark.parametrize(
        ("wrong", "error"),
        [
            (replace(DONE, params={"x": 0.5, "n": 1}), InvalidParams),
            (replace(DONE, params=PARAMS | {"n": 10}), InvalidParams),
            (replace(DONE, params=PARAMS | {"m": 1}), InvalidParams),
            (replace(DONE, distributions=NARROW), Invalid),
            (replace(DONE, values=None), InvalidValues),
            (replace(DONE, values=(1.0, 2.0)), InvalidValues),
            (replace(DONE, values=(float("nan"),)), InvalidValues),
            (replace(DONE, state=TrialState.FAIL), InvalidValues),
            (replace(DONE, state=TrialState.RUNNING, values=None), InvalidValues),
            (replace(DONE, intermediate_values={2**31: 1.0}), InvalidReport),
            (replace(DONE, constraints={"memory": float("nan")}), InvalidValues),
            (
                replace(DONE, started_at=YEAR_AGO, finished_at=YEAR_AGO - timedelta(1)),
                Invalid,
            ),
            (replace(DONE, started_at=datetime.now(UTC) + timedelta(1)), Invalid),
            # No time zone east of here has such a moment.
            (replace(DONE, finished_at=datetime(1, 1, 1, tzinfo=UTC)), Invalid),
        ],
    )
    async def test_is_all_or_nothing(
        self, study: TimedStudy, wrong: ImportedTrial, error: type[Invalid]
    ) -> None:
        await study.create()
        with pytest.raises(error):
            await import_trials(study.actor, [DONE, wrong])
        summary = await study.summary()
        assert (summary.counts.total, summary.revision) == (0, 0)
        assert await import_trials(study.actor, [DONE]) == (0,)

    @pytest.mark.parametrize(
        ("params", "distributions", "error"),
        [
            ({"n": 3}, {}, InvalidParams),
            ({}, NARROW, InvalidParams),
            ({"n": 5}, NARROW, InvalidParams),
            ({"n": 3}, {"n": {"type": "int", "low": 4, "high": 1}}, InvalidSpace),
        ],
    )
    async def test_own_distributions_must_fit(
        self, study: TimedStudy, params: Any, distributions: Any, error: type[Invalid]
    ) -> None:
        await study.create(new_study(space=None))
        trial = ImportedTrial(TrialState.COMPLETE, params, distributions, values=(1.0,))
        with pytest.raises(error):
            await import_trials(study.actor, [trial])
        assert (await study.summary()).counts.total == 0

    async def test_constraints_keep_their_names(self, study: TimedStudy) -> None:
        await study.create()
        await import_trials(study.actor, [replace(DONE, constraints={"a": 1.0, "b": -1.0})])
        await import_trials(study.actor, [replace(DONE, constraints={"b": 2.0, "a": 3.0})])
        with pytest.raises(InvalidValues, match="a, b"):
            await import_trials(study.actor, [replace(DONE, constraints={"a": 1.0})])
        assert (await study.view(1)).constraints == {"a": 3.0, "b": 2.0}

    async def test_several_objectives_take_no_reports(self, study: TimedStudy) -> None:
        await study.create(new_study(objectives=TWO))
        trial = replace(DONE, values=(1.0, 2.0))
        await import_trials(study.actor, [trial])
        with pytest.raises(InvalidReport):
            await import_trials(study.actor, [replace(trial, intermediate_values={0: 1.0})])

    async def test_the_sampler_learns_from_it(self, study: TimedStudy) -> None:
        space = {"c": SPACE["c"]}
        await study.create(new_study(space=space, sampler=Component("BruteForceSampler")))
        await import_trials(study.actor, [replace(DONE, params={"c": "a"})])
        assert [trial.params for trial in await study.ask(count=9)] == [{"c": "b"}]

    async def test_reports_are_what_pruners_compare_with(self, study: TimedStudy) -> None:
        pruner = Component("MedianPruner", {"n_startup_trials": 1})
        await study.create(new_study(pruner=pruner))
        await import_trials(study.actor, [replace(DONE, intermediate_values={0: 0.5, 1: 0.5})])
        await study.ask()
        assert (await report(study.actor, 1, [(0, 0.75), (1, 0.75)])).should_prune

    async def test_it_cannot_be_told_otherwise(self, study: TimedStudy) -> None:
        await study.create()
        await import_trials(study.actor, [DONE])
        assert (await study.complete(0, 1.0)).values == (1.0,)
        with pytest.raises(Invalid):
            await tell(study.actor, 0, Outcome(TrialState.COMPLETE, (1.0, 2.0)))


Keyed = Callable[[TimedStudy, str, bool], Awaitable[Any]]


async def _ask(study: TimedStudy, key: str, other: bool) -> Any:
    return await study.ask(count=3 if other else 2, idempotency_key=key)


async def _enqueue(study: TimedStudy, key: str, other: bool) -> Any:
    trial = EnqueuedTrial({"n": 3 if other else 2})
    return await enqueue(study.actor, [trial], idempotency_key=key)


async def _import(study: TimedStudy, key: str, other: bool) -> Any:
    trial = replace(DONE, values=(3.0 if other else 2.0,))
    return await import_trials(study.actor, [trial], idempotency_key=key)


async def _create(study: TimedStudy, key: str, other: bool) -> Any:
    new = new_study("made", seed=3 if other else 2, idempotency_key=key)
    created = await create_study(study.engine, new)
    assert created.created
    return created.study.spec


KEYED = {"ask": _ask, "enqueue": _enqueue, "import": _import, "create": _create}
COUNT_ROWS = "SELECT (SELECT count(*) FROM trials) + (SELECT count(*) FROM studies)"


@pytest.mark.parametrize("call", KEYED.values(), ids=KEYED)
class TestKeys:
    async def test_a_repeat_gets_the_same_answer(self, study: TimedStudy, call: Keyed) -> None:
        await study.create()
        first = await call(study, "k", False)
        rows = study.count(COUNT_ROWS)
        assert await call(study, "k", False) == first
        assert study.count(COUNT_ROWS) == rows

    async def test_and_after_a_restart(self, study: TimedStudy, call: Keyed) -> None:
        await study.create()
        first = await call(study, "k", False)
        rows = study.count(COUNT_ROWS)
        await study.restart()
        assert await call(study, "k", False) == first
        assert study.count(COUNT_ROWS) == rows

    async def test_repeats_in_flight_join(self, study: TimedStudy, call: Keyed) -> None:
        await study.create()
        before = study.count(COUNT_ROWS)
        answers = await asyncio.gather(*[call(study, "k", False) for _ in range(10)])
        assert answers == [answers[0]] * 10
        assert study.count(COUNT_ROWS) - before == (2 if call is _ask else 1)

    async def test_another_body_is_refused(self, study: TimedStudy, call: Keyed) -> None:
        await study.create()
        await call(study, "k", False)
        rows = study.count(COUNT_ROWS)
        with pytest.raises(IdempotencyKeyReused):
            await call(study, "k", True)
        await study.restart()
        with pytest.raises(IdempotencyKeyReused):
            await call(study, "k", True)
        assert study.count(COUNT_ROWS) == rows

    async def test_another_body_in_flight_too(self, study: TimedStudy, call: Keyed) -> None:
        await study.create()
        first, second = await asyncio.gather(
            call(study, "k", False), call(study, "k", True), return_exceptions=True
        )
        kinds = {type(first), type(second)}
        assert IdempotencyKeyReused in kinds
        assert len(kinds) == 2


class TestKeyScope:
    async def test_each_operation_has_keys_of_its_own(self, study: TimedStudy) -> None:
        await study.create()
        for call in KEYED.values():
            await call(study, "k", False)
        assert (await study.summary()).counts.total == 4

    async def test_a_refused_request_leaves_its_key_free(self, study: TimedStudy) -> None:
        await study.create()
        with pytest.raises(InvalidParams):
            await enqueue(study.actor, [EnqueuedTrial({"n": 99})], idempotency_key="k")
        with pytest.raises(InvalidValues):
            await import_trials(study.actor, [replace(DONE, values=None)], idempotency_key="k")
        with pytest.raises(InvalidParams):
            await study.ask(params={"n": 99}, idempotency_key="k")
        assert await enqueue(study.actor, [EnqueuedTrial({"n": 9})], idempotency_key="k") == (0,)
        assert await import_trials(study.actor, [DONE], idempotency_key="k") == (1,)
        assert (await study.ask(idempotency_key="k"))[0].number == 0
