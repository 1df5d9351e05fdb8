"""Where plain Optuna behind a server would raise, disagree with itself, or go on for ever."""

import asyncio
import itertools
from collections.abc import Mapping
from typing import Any

import pytest

from service.domain.errors import (
    InvalidParams,
    InvalidReport,
    InvalidSpace,
    InvalidValues,
    StudyFinished,
    TrialNotRunning,
)
from service.domain.studies import Component, Direction, Objective, StopReason, StudyState
from service.domain.trials import Outcome, TrialState
from service.engine.actor import Actor
from service.engine.ask import Ask, ask
from service.engine.create import create_study
from service.engine.delete import delete_study
from service.engine.engine import Engine
from service.engine.enqueue import EnqueuedTrial, enqueue
from service.engine.import_trials import ImportedTrial, import_trials
from service.engine.report import report
from service.engine.suggest import suggest
from service.engine.tell import tell
from service.search_space import nest
from tests.integration.engine_use import SPACE, new_study

FLOAT = {"type": "float", "low": 0.0, "high": 1.0}
INT = {"type": "int", "low": 1, "high": 3}
CHOICE = {"type": "categorical", "choices": ["a", "b"]}
FINITE = {"c": CHOICE, "n": INT}
ALL = sorted(itertools.product(["a", "b"], [1, 2, 3]))
FINITE_SAMPLERS = {
    "grid": Component("GridSampler", {"search_space": {"c": ["a", "b"], "n": [1, 2, 3]}}),
    "brute-force": Component("BruteForceSampler"),
}
FAILED = Outcome(TrialState.FAIL)
TWO = (Objective("a", Direction.MINIMIZE), Objective("b", Direction.MAXIMIZE))


def complete(*values: float, **told: Any) -> Outcome:
    return Outcome(TrialState.COMPLETE, values, **told)


async def open_study(engine: Engine, name: str = "s", **given: Any) -> Actor:
    await create_study(engine, new_study(name, **given))
    return await engine.get_actor(name)


class TestExhaustion:
    @pytest.mark.parametrize("sampler", FINITE_SAMPLERS)
    async def test_a_declared_space_ends_with_its_last_combination(
        self, engine: Engine, sampler: str
    ) -> None:
        actor = await open_study(engine, space=FINITE, sampler=FINITE_SAMPLERS[sampler])
        asked = await ask(actor, Ask(count=4))
        asked += await ask(actor, Ask(count=4))
        assert sorted((trial.params["c"], trial.params["n"]) for trial in asked) == ALL
        with pytest.raises(StudyFinished):
            await ask(actor, Ask())
        for trial in asked:
            await tell(actor, trial.number, FAILED if trial.number % 2 else complete(1.0))
        summary = await self._summary(engine)
        assert (summary.state, summary.stop_reason) == (StudyState.FINISHED, StopReason.EXHAUSTED)

    @pytest.mark.parametrize("sampler", FINITE_SAMPLERS)
    async def test_trials_that_declare_their_parameters_end_too(
        self, engine: Engine, sampler: str
    ) -> None:
        actor = await open_study(engine, space=None, sampler=FINITE_SAMPLERS[sampler])
        visited = []
        while actor.control.stop_reason is None:
            assert len(visited) < 2 * len(ALL)
            (trial,) = await ask(actor, Ask())
            params = await suggest(actor, trial.number, {"c": CHOICE})
            params |= await suggest(actor, trial.number, {"n": INT})
            visited.append((params["c"], params["n"]))
            await tell(actor, trial.number, complete(1.0))
        assert sorted(visited) == ALL
        with pytest.raises(StudyFinished):
            await ask(actor, Ask())

    async def test_a_grid_ends_with_its_last_point_whoever_declares(self, engine: Engine) -> None:
        actor = await open_study(engine, space=None, sampler=FINITE_SAMPLERS["grid"])
        asked = await ask(actor, Ask(count=10))
        found = [await suggest(actor, trial.number, FINITE) for trial in asked]
        assert sorted((params["c"], params["n"]) for params in found) == ALL
        with pytest.raises(StudyFinished):
            await ask(actor, Ask())

    async def test_a_trial_that_dies_before_it_declares_anything_ends_nothing(
        self, engine: Engine
    ) -> None:
        sampler = FINITE_SAMPLERS["brute-force"]
        actor = await open_study(engine, space=None, sampler=sampler)
        await ask(actor, Ask(count=3))
        await tell(actor, 0, FAILED)
        whole = await suggest(actor, 1, FINITE)
        await tell(actor, 1, complete(1.0))
        # Dies between its first parameter and its second, where trial 1 had both.
        await enqueue(actor, [EnqueuedTrial({"c": whole["c"]})])
        await ask(actor, Ask())
        await suggest(actor, 3, {"c": CHOICE})
        await tell(actor, 3, FAILED)
        assert set(await suggest(actor, 2, FINITE)) == {"c", "n"}
        assert len(await ask(actor, Ask())) == 1

    @pytest.mark.parametrize("sampler", FINITE_SAMPLERS)
    async def test_imported_trials_stand_in_nobodys_way(self, engine: Engine, sampler: str) -> None:
        actor = await open_study(engine, space=FINITE, sampler=FINITE_SAMPLERS[sampler])
        done = [
            ImportedTrial(TrialState.COMPLETE, {"n": n, "c": c}, values=(1.0,)) for c, n in ALL[:4]
        ]
        await import_trials(actor, done)
        asked = []
        while actor.control.stop_reason is None:
            assert len(asked) < 2 * len(ALL)
            asked += await ask(actor, Ask())
        visited = {(trial.params["c"], trial.params["n"]) for trial in asked}
        assert set(ALL[4:]) <= visited

    @staticmethod
    async def _summary(engine: Engine) -> Any:
        stored = await engine.reads.find_study("s")
        assert stored is not None
        return stored.summary


class TestConcurrency:
    async def test_two_callers_are_told_the_same_value(self, engine: Engine) -> None:
        actor = await open_study(engine, space=None)
        for number in range(10):
            await ask(actor, Ask())
            told = await asyncio.gather(
                suggest(actor, number, {"x": FLOAT}), suggest(actor, number, {"x": FLOAT, "n": INT})
            )
            view = await engine.reads.find_trial(actor.study_id, number)
            assert view is not None
            assert view.params == told[0] | told[1]
            assert told[0]["x"] == told[1]["x"]

    @pytest.mark.parametrize("sampler", ["QMCSampler", "TPESampler", "RandomSampler"])
    async def test_asks_at_one_moment_get_different_points(
        self, engine: Engine, sampler: str
    ) -> None:
        actor = await open_study(engine, space={"x": FLOAT}, sampler=Component(sampler))
        await ask(actor, Ask())
        await tell(actor, 0, complete(1.0))
        asked = await asyncio.gather(*(ask(actor, Ask(count=2)) for _ in range(8)))
        points = [trial.params["x"] for trials in asked for trial in trials]
        assert len(set(points)) == 16


class TestDistributions:
    @pytest.mark.parametrize(
        "other",
        [INT, CHOICE, {**FLOAT, "low": 0.1, "log": True}],
        ids=["int", "categorical", "log"],
    )
    async def test_another_kind_in_another_trial_is_refused(
        self, engine: Engine, other: Mapping[str, Any]
    ) -> None:
        actor = await open_study(engine, space=None)
        await ask(actor, Ask(count=2))
        await suggest(actor, 0, {"x": FLOAT})
        with pytest.raises(InvalidParams, match="another name"):
            await suggest(actor, 1, {"y": FLOAT, "x": other})
        assert actor.get_trial(1).params == {}
        await enqueue(actor, [EnqueuedTrial({"x": 0.5})])
        with pytest.raises(InvalidParams, match="another name"):
            await ask(actor, Ask(distributions={"x": other}))
        assert actor.get_trial(2).state.name == "WAITING"
        assert len(await ask(actor, Ask())) == 1
        assert (await tell(actor, 1, complete(1.0))).state is TrialState.COMPLETE

    async def test_other_choices_in_another_trial_are_refused(self, engine: Engine) -> None:
        actor = await open_study(engine, space=None)
        await ask(actor, Ask(count=2))
        await suggest(actor, 0, {"batch": {"type": "categorical", "choices": [16, 32]}})
        with pytest.raises(InvalidParams, match="another name"):
            await suggest(actor, 1, {"batch": {"type": "categorical", "choices": [64, 128]}})

    @pytest.mark.parametrize("sampler", ["TPESampler", "CmaEsSampler", "NSGAIISampler"])
    async def test_another_range_in_another_trial_is_kept_to(
        self, engine: Engine, sampler: str
    ) -> None:
        actor = await open_study(engine, space=None, sampler=Component(sampler))
        for number in range(12):
            await ask(actor, Ask())
            low = 0.0 if number < 8 else 10.0
            params = await suggest(
                actor, number, {"x": {**FLOAT, "low": low, "high": low + 1}, "n": INT}
            )
            assert low <= params["x"] <= low + 1
            await tell(actor, number, complete(params["x"]))

    @pytest.mark.parametrize("change", [{"high": 2.0}, {"low": 0.5}, {"step": 0.5}])
    async def test_another_range_in_the_same_trial_is_refused(
        self, engine: Engine, change: dict[str, Any]
    ) -> None:
        actor = await open_study(engine, space=None)
        await ask(actor, Ask())
        first = await suggest(actor, 0, {"x": FLOAT})
        with pytest.raises(InvalidParams, match="This trial has it as a float"):
            await suggest(actor, 0, {"x": {**FLOAT, **change}})
        assert await suggest(actor, 0, {"x": {**FLOAT, "low": 0}}) == first


class TestFixedValues:
    @pytest.mark.parametrize(
        ("value", "document"),
        [(77, FLOAT), ("0.5", FLOAT), ("fast", FLOAT), (True, INT), (2.5, INT), ("z", CHOICE)],
    )
    async def test_one_that_the_trial_declares_away_is_refused(
        self, engine: Engine, value: Any, document: dict[str, Any]
    ) -> None:
        actor = await open_study(engine, space=None)
        await enqueue(actor, [EnqueuedTrial({"x": value})])
        await ask(actor, Ask())
        await ask(actor, Ask(params={"x": value}))
        for number in range(2):
            with pytest.raises(InvalidParams, match="tell the trial FAIL"):
                await suggest(actor, number, {"y": FLOAT, "x": document})
            assert actor.get_trial(number).params == {}
            await tell(actor, number, FAILED)
        with pytest.raises(InvalidParams):
            await ask(actor, Ask(params={"x": value}, distributions={"x": document}))

    async def test_an_enqueued_one_that_no_ask_can_use_blocks_nobody(self, engine: Engine) -> None:
        actor = await open_study(engine, space=None)
        await enqueue(actor, [EnqueuedTrial({"x": 77})])
        (asked,) = await ask(actor, Ask(distributions={"x": FLOAT}))
        assert asked.number == 1
        view = await engine.reads.find_trial(actor.study_id, 0)
        assert view is not None
        assert view.state is TrialState.FAIL
        assert view.reason is not None
        assert "77 is outside the range" in view.reason

    async def test_one_that_does_not_fit_a_declared_space_is_refused_at_once(
        self, engine: Engine
    ) -> None:
        actor = await open_study(engine)
        for params in ({"x": 77}, {"x": "0.5"}, {"n": 1.5}, {"y": 1}):
            with pytest.raises(InvalidParams):
                await enqueue(actor, [EnqueuedTrial({"n": 1}), EnqueuedTrial(params)])
            with pytest.raises(InvalidParams):
                await ask(actor, Ask(params=params))
        assert (await ask(actor, Ask()))[0].number == 0

    async def test_a_trial_as_shown_can_be_tried_and_imported_again(self, engine: Engine) -> None:
        space = {
            "model": {"arch": CHOICE, "depth": {**INT, "when": {"model.arch": ["a"]}}},
            "lr": FLOAT,
            "data": {"path": "digits", "sizes": {"value": [8, 8]}},
        }
        actor = await open_study(engine, space=space)
        (first,) = await ask(actor, Ask())
        (again,) = await ask(actor, Ask(params=first.params))
        assert again.params == first.params
        done = ImportedTrial(TrialState.COMPLETE, first.params, values=(1.0,))
        (number,) = await import_trials(actor, [done])
        assert actor.get_trial(number).params == actor.get_trial(0).params
        assert nest({**actor.get_trial(number).params})["lr"] == first.params["lr"]


class TestTells:
    @pytest.mark.parametrize("sampler", ["NSGAIISampler", "TPESampler"])
    async def test_a_refused_constraint_leaves_the_study_usable(
        self, engine: Engine, sampler: str
    ) -> None:
        # Optuna stores it, and its genetic samplers raise ever after.
        args = {"population_size": 2} if sampler == "NSGAIISampler" else {"n_startup_trials": 1}
        actor = await open_study(engine, sampler=Component(sampler, args))
        for number in range(4):
            await ask(actor, Ask())
            with pytest.raises(InvalidValues):
                await tell(actor, number, complete(1.0, constraints={"c": float("nan")}))
            await tell(actor, number, complete(1.0, constraints={"c": float("inf")}))
        with pytest.raises(InvalidValues):
            await tell(
                actor, (await ask(actor, Ask()))[0].number, complete(1.0, constraints={"d": 0.0})
            )
        assert len(await ask(actor, Ask())) == 1

    async def test_the_best_is_the_best_feasible(self, engine: Engine) -> None:
        actor = await open_study(engine)
        await ask(actor, Ask(count=3))
        for number, (value, excess) in enumerate([(1.0, 0.5), (3.0, -1.0), (2.0, 0.0)]):
            await tell(actor, number, complete(value, constraints={"c": excess}))
            stored = await engine.reads.find_study("s")
            assert stored is not None
            best = stored.summary.best
            assert (best and best.number) == [None, 1, 2][number]

    async def test_no_attribute_of_a_client_becomes_the_samplers(self, engine: Engine) -> None:
        # CMA-ES unpickles what it finds in its own.
        sampler = Component("CmaEsSampler", {"n_startup_trials": 1, "popsize": 2})
        actor = await open_study(engine, sampler=sampler, user_attrs={"cma:generation": 3})
        planted = {"cma:optimizer:0": "80049563", "cma:generation": 0, "constraints": [1.0]}
        await enqueue(actor, [EnqueuedTrial({}, user_attrs=planted)])
        done = ImportedTrial(
            TrialState.COMPLETE, {"x": 0.5, "n": 1, "c": "a"}, values=(1.0,), user_attrs=planted
        )
        await import_trials(actor, [done])
        for _ in range(6):
            (trial,) = await ask(actor, Ask())
            await tell(actor, trial.number, complete(1.0, user_attrs=planted))
            stored = actor.get_trial(trial.number)
            assert planted.items() <= stored.user_attrs.items()
            assert "80049563" not in stored.system_attrs.values()
            assert stored.constraints == {}

    async def test_several_objectives_take_no_reports(self, engine: Engine) -> None:
        actor = await open_study(engine, objectives=TWO)
        await ask(actor, Ask())
        with pytest.raises(InvalidReport):
            await report(actor, 0, [(0, 1.0)])
        with pytest.raises(InvalidValues):
            await tell(actor, 0, complete(1.0))
        assert (await tell(actor, 0, complete(1.0, 2.0))).values == (1.0, 2.0)


class TestStudies:
    async def test_a_study_made_again_knows_nothing_of_the_old_one(self, engine: Engine) -> None:
        given = {"sampler": Component("TPESampler", {"n_startup_trials": 1}), "space": None}
        seen = []
        for _ in range(2):
            actor = await open_study(engine, **given)
            for number in range(4):
                assert [trial.number for trial in await ask(actor, Ask())] == [number]
                params = await suggest(actor, number, SPACE)
                await tell(actor, number, complete(params["x"]))
            seen.append([actor.get_trial(number).params for number in range(4)])
            # A kind of parameter is the study's own, too.
            await delete_study(engine, "s")
            other = await open_study(engine, space=None)
            await ask(other, Ask())
            await suggest(other, 0, {"x": CHOICE, "c": FLOAT})
            await delete_study(engine, "s")
        assert seen[0] == seen[1]

    async def test_numbers_are_each_studys_own(self, engine: Engine) -> None:
        actors = [await open_study(engine, name) for name in ("a", "b")]
        for number in range(3):
            for actor in actors:
                assert (await ask(actor, Ask()))[0].number == number
        await tell(actors[1], 1, complete(1.0))
        assert actors[0].get_trial(1).state.name == "RUNNING"
        with pytest.raises(TrialNotRunning):
            await suggest(actors[1], 1, {"y": FLOAT})
        with pytest.raises(InvalidSpace):
            await ask(actors[0], Ask(distributions={"y": FLOAT}))
