"""The engine's use cases on a real Postgres: what is answered is committed, and nothing else is."""

import asyncio
from typing import Any

import optuna
import psycopg
import pytest

from service.domain.errors import (
    AlreadyTold,
    IdempotencyKeyReused,
    InvalidParams,
    InvalidReport,
    InvalidValues,
    StudyExists,
    StudyFinished,
    StudyNotFound,
    StudyReloading,
    TrialNotFound,
    TrialNotRunning,
)
from service.domain.studies import Component, IfExists, StudyState
from service.domain.trials import Outcome, TrialState
from service.engine.ask import Ask, ask
from service.engine.create import create_study
from service.engine.delete import delete_study
from service.engine.engine import Engine, open_engine
from service.engine.prune import decide
from service.engine.report import report
from service.engine.suggest import suggest
from service.engine.tell import tell
from service.storage.database import Database
from tests.integration.engine_use import SPACE, ask_once, count_rows, eventually, new_study
from tests.plain_optuna import open_rdb_storage


class TestCycle:
    async def test_leaves_what_optuna_would_leave(self, engine: Engine, database: Database) -> None:
        await create_study(engine, new_study(pruner=Component("MedianPruner")))
        actor = await engine.get_actor("s")
        for number in range(3):
            (asked,) = await ask(actor, Ask())
            assert asked.number == number
            await report(actor, number, [(0, 0.5), (1, float("inf"))])
            view = await tell(actor, number, Outcome(TrialState.COMPLETE, (float(number),)))
            assert view == await engine.reads.find_trial(actor.study_id, number)
        with open_rdb_storage(database) as storage:
            trials = optuna.load_study(study_name="s", storage=storage).trials
        assert [trial.number for trial in trials] == [0, 1, 2]
        assert [trial.value for trial in trials] == [0.0, 1.0, 2.0]
        assert all(set(trial.params) == set(SPACE) for trial in trials)
        assert all(trial.intermediate_values[0] == 0.5 for trial in trials)

    async def test_summary_follows_every_commit(self, engine: Engine) -> None:
        await create_study(engine, new_study())
        actor = await engine.get_actor("s")
        await ask(actor, Ask(count=3))
        await tell(actor, 0, Outcome(TrialState.COMPLETE, (2.0,)))
        await tell(actor, 1, Outcome(TrialState.COMPLETE, (1.0,)))
        await tell(actor, 2, Outcome(TrialState.FAIL, reason="out of memory"))
        stored = await engine.reads.find_study("s")
        assert stored is not None
        assert stored.summary.counts.complete == 2
        assert stored.summary.counts.fail == 1
        assert stored.summary.best is not None
        assert stored.summary.best.number == 1

    @pytest.mark.parametrize(
        ("sampler", "pruner"),
        [
            (Component("RandomSampler"), None),
            (
                Component("TPESampler", {"n_startup_trials": 2}),
                Component("HyperbandPruner", {"max_resource": 9}),
            ),
        ],
    )
    async def test_a_restart_changes_no_suggestion(
        self, database: Database, sampler: Component, pruner: Component | None
    ) -> None:
        async def run(engines: int) -> list[Any]:
            params = []
            for _ in range(engines):
                async with open_engine(database) as engine:
                    # Hyperband's brackets depend on the study's name.
                    study = new_study(sampler=sampler, pruner=pruner, if_exists=IfExists.LOAD)
                    await create_study(engine, study)
                    actor = await engine.get_actor("s")
                    for _ in range(24 // engines):
                        (asked,) = await ask(actor, Ask())
                        params.append(asked.params)
                        x = asked.params["x"]
                        await report(actor, asked.number, [(1, x)])
                        await tell(actor, asked.number, Outcome(TrialState.COMPLETE, (x,)))
            async with open_engine(database) as engine:
                await delete_study(engine, "s")
            return params

        assert await run(1) == await run(8)

    async def test_fixed_params_are_kept(self, engine: Engine) -> None:
        await create_study(engine, new_study())
        actor = await engine.get_actor("s")
        (asked,) = await ask(actor, Ask(params={"n": 3}))
        assert asked.params["n"] == 3
        with pytest.raises(InvalidParams):
            await ask(actor, Ask(params={"m": 3}))
        assert (await ask(actor, Ask()))[0].number == 1


class TestTell:
    async def test_identical_repeat_is_answered_alike(self, engine: Engine) -> None:
        await create_study(engine, new_study())
        actor = await engine.get_actor("s")
        await ask(actor, Ask())
        outcome = Outcome(TrialState.COMPLETE, (1.0,), user_attrs={"gpu": 1})
        first = await tell(actor, 0, outcome)
        assert await tell(actor, 0, outcome) == first
        with pytest.raises(AlreadyTold):
            await tell(actor, 0, Outcome(TrialState.COMPLETE, (2.0,)))

    @pytest.mark.parametrize(
        "outcome",
        [
            Outcome(TrialState.COMPLETE),
            Outcome(TrialState.COMPLETE, (float("nan"),)),
            Outcome(TrialState.COMPLETE, (1.0, 2.0)),
            Outcome(TrialState.FAIL, (1.0,)),
            Outcome(TrialState.RUNNING),
        ],
    )
    async def test_refused_values_leave_the_trial_running(
        self, engine: Engine, outcome: Outcome
    ) -> None:
        await create_study(engine, new_study())
        actor = await engine.get_actor("s")
        await ask(actor, Ask())
        with pytest.raises(InvalidValues):
            await tell(actor, 0, outcome)
        view = await engine.reads.find_trial(actor.study_id, 0)
        assert view is not None
        assert view.state is TrialState.RUNNING

    async def test_pruned_keeps_the_last_report(self, engine: Engine) -> None:
        await create_study(engine, new_study())
        actor = await engine.get_actor("s")
        await ask(actor, Ask())
        await report(actor, 0, [(3, 0.25), (1, 0.5)])
        view = await tell(actor, 0, Outcome(TrialState.PRUNED))
        assert view.values == (0.25,)
        assert await tell(actor, 0, Outcome(TrialState.PRUNED)) == view

    async def test_unknown_trial(self, engine: Engine) -> None:
        await create_study(engine, new_study())
        with pytest.raises(TrialNotFound):
            await tell(await engine.get_actor("s"), 0, Outcome(TrialState.FAIL))


class TestReport:
    async def test_prunes_and_the_decision_stays(self, engine: Engine) -> None:
        pruner = Component("ThresholdPruner", {"upper": 1.0})
        await create_study(engine, new_study(pruner=pruner))
        actor = await engine.get_actor("s")
        await ask(actor, Ask())
        assert not (await decide(actor, 0)).should_prune
        assert not (await report(actor, 0, [(0, 0.5)])).should_prune
        assert (await report(actor, 0, [(1, 2.0)])).should_prune
        assert (await report(actor, 0, [(2, 0.1)])).should_prune
        assert (await decide(actor, 0)).should_prune

    async def test_a_batch_decides_like_single_reports(self, engine: Engine) -> None:
        pruner = Component("SuccessiveHalvingPruner", {"min_resource": 1, "reduction_factor": 2})
        points = [(step, 1.0 + step) for step in range(1, 6)]
        for name in ("single", "batch"):
            await create_study(engine, new_study(name, pruner=pruner))
            actor = await engine.get_actor(name)
            await ask(actor, Ask(count=2))
            await report(actor, 0, [(step, 0.0) for step in range(1, 6)])
        single, batch = await engine.get_actor("single"), await engine.get_actor("batch")
        decisions = [await report(single, 1, [point]) for point in points]
        decided = await report(batch, 1, points)
        assert (decided.should_prune, decided.step) == (
            decisions[-1].should_prune,
            decisions[-1].step,
        )
        assert decisions[-1].should_prune

    async def test_the_first_value_of_a_step_stays(self, engine: Engine) -> None:
        await create_study(engine, new_study())
        actor = await engine.get_actor("s")
        await ask(actor, Ask())
        await report(actor, 0, [(0, 5.0), (0, 3.0)])
        await report(actor, 0, [(0, 4.0)])
        view = await engine.reads.find_trial(actor.study_id, 0)
        assert view is not None
        assert view.intermediate_values == {0: 5.0}

    async def test_refusals(self, engine: Engine) -> None:
        await create_study(engine, new_study())
        actor = await engine.get_actor("s")
        await ask(actor, Ask())
        with pytest.raises(InvalidReport):
            await report(actor, 0, [(2**31, 1.0)])
        await tell(actor, 0, Outcome(TrialState.COMPLETE, (1.0,)))
        with pytest.raises(TrialNotRunning):
            await report(actor, 0, [(0, 1.0)])

    async def test_auto_resources_are_resolved_once_and_stored(self, database: Database) -> None:
        pruner = Component("HyperbandPruner", {"max_resource": "auto"})
        async with open_engine(database) as engine:
            await create_study(engine, new_study(pruner=pruner))
            actor = await engine.get_actor("s")
            await ask(actor, Ask(count=2))
            await report(actor, 0, [(step, 1.0) for step in range(9)])
            await tell(actor, 0, Outcome(TrialState.COMPLETE, (1.0,)))
            await report(actor, 1, [(0, 1.0)])
            assert actor.pruner_component is not None
            assert actor.pruner_component.args["max_resource"] == 9
        async with open_engine(database) as engine:
            actor = await engine.get_actor("s")
            assert actor.pruner_component is not None
            assert actor.pruner_component.args["max_resource"] == 9


class TestSuggest:
    async def test_define_by_run_keeps_what_it_gave(self, engine: Engine) -> None:
        sampler = Component("TPESampler", {"n_startup_trials": 2})
        await create_study(engine, new_study(space=None, sampler=sampler))
        actor = await engine.get_actor("s")
        for number in range(5):
            await ask(actor, Ask())
            first = await suggest(actor, number, {"x": SPACE["x"]})
            both = await suggest(actor, number, {"x": SPACE["x"], "c": SPACE["c"]})
            assert both["x"] == first["x"]
            await tell(actor, number, Outcome(TrialState.COMPLETE, (first["x"],)))
        with pytest.raises(TrialNotRunning):
            await suggest(actor, 0, {"y": SPACE["x"]})

    async def test_a_clash_is_refused_and_leaves_nothing(self, engine: Engine) -> None:
        await create_study(engine, new_study(space=None))
        actor = await engine.get_actor("s")
        await ask(actor, Ask())
        await suggest(actor, 0, {"x": SPACE["x"]})
        with pytest.raises(InvalidParams):
            await suggest(actor, 0, {"y": SPACE["x"], "x": SPACE["c"]})
        view = await engine.reads.find_trial(actor.study_id, 0)
        assert view is not None
        assert set(view.params) == {"x"}


class TestIdempotency:
    async def test_a_repeat_gets_the_same_trial_even_after_a_restart(
        self, database: Database
    ) -> None:
        command = Ask(idempotency_key="k")
        async with open_engine(database) as engine:
            await create_study(engine, new_study())
            actor = await engine.get_actor("s")
            both = await asyncio.gather(ask(actor, command), ask(actor, command))
            assert both[0] == both[1]
        async with open_engine(database) as engine:
            actor = await engine.get_actor("s")
            assert await ask(actor, command) == both[0]
            with pytest.raises(IdempotencyKeyReused):
                await ask(actor, Ask(count=2, idempotency_key="k"))
            assert (await ask(actor, Ask()))[0].number == 1

    async def test_a_key_is_new_again_after_its_time(self, database: Database) -> None:
        command = Ask(idempotency_key="k")
        async with open_engine(database) as engine:
            await create_study(engine, new_study())
            await ask(await engine.get_actor("s"), command)
        with psycopg.connect(database.conninfo) as connection:
            connection.execute(
                "UPDATE asktell.idempotency_keys SET created_at = created_at - interval '25 hours'"
            )
        async with open_engine(database) as engine:
            assert (await ask(await engine.get_actor("s"), command))[0].number == 1
            assert count_rows(database, "SELECT count(*) FROM asktell.idempotency_keys") == 1

    async def test_a_number_beyond_64_bits_is_refused_with_a_key_too(self, engine: Engine) -> None:
        await create_study(engine, new_study())
        actor = await engine.get_actor("s")
        with pytest.raises(InvalidParams):
            await ask(actor, Ask(params={"n": 2**70}, idempotency_key="k"))


class TestStudies:
    async def test_load_needs_the_same_spec(self, engine: Engine) -> None:
        assert (await create_study(engine, new_study())).created
        with pytest.raises(StudyExists):
            await create_study(engine, new_study())
        again = await create_study(engine, new_study(if_exists=IfExists.LOAD))
        assert not again.created
        other = Component("TPESampler")
        with pytest.raises(StudyExists, match="sampler"):
            await create_study(engine, new_study(sampler=other, if_exists=IfExists.LOAD))

    async def test_a_plain_study_keeps_its_name(self, engine: Engine, database: Database) -> None:
        with open_rdb_storage(database) as storage:
            optuna.create_study(study_name="s", storage=storage)
        with pytest.raises(StudyExists, match="does not manage"):
            await create_study(engine, new_study())
        with pytest.raises(StudyNotFound):
            await engine.get_actor("s")

    async def test_deleted_is_gone_and_the_name_is_free(
        self, engine: Engine, database: Database
    ) -> None:
        await create_study(engine, new_study())
        actor = await engine.get_actor("s")
        await ask(actor, Ask(count=3))
        await report(actor, 0, [(0, 1.0)])
        await delete_study(engine, "s")
        with pytest.raises(StudyReloading):
            await report(actor, 0, [(1, 1.0)])
        with pytest.raises(StudyNotFound):
            await engine.get_actor("s")
        assert count_rows(database, "SELECT count(*) FROM trials") == 0
        assert (await create_study(engine, new_study())).created

    async def test_deleting_a_study_in_use_removes_it_and_tells_its_jobs(
        self, engine: Engine, database: Database
    ) -> None:
        async def ask_until_gone() -> None:
            while True:
                await eventually(lambda: ask_once(engine, "s"))

        for _ in range(5):
            await create_study(engine, new_study())
            jobs = [asyncio.create_task(ask_until_gone()) for _ in range(4)]
            await eventually(lambda: ask_once(engine, "s"))
            await delete_study(engine, "s")
            ends = await asyncio.gather(*jobs, return_exceptions=True)
            assert [type(end) for end in ends] == [StudyNotFound] * 4
        assert count_rows(database, "SELECT count(*) FROM trials") == 0

    async def test_an_exhausted_grid_finishes_the_study(self, engine: Engine) -> None:
        space = {"c": SPACE["c"]}
        await create_study(engine, new_study(space=space, sampler=Component("GridSampler")))
        actor = await engine.get_actor("s")
        assert len(await ask(actor, Ask(count=5))) == 2
        for number in range(2):
            await tell(actor, number, Outcome(TrialState.COMPLETE, (1.0,)))
        with pytest.raises(StudyFinished):
            await ask(actor, Ask())
        stored = await engine.reads.find_study("s")
        assert stored is not None
        assert stored.summary.state is StudyState.FINISHED


class TestMemory:
    async def test_idle_studies_are_put_aside_and_come_back(self, database: Database) -> None:
        async with open_engine(database, reap_every_seconds=None, max_trials_in_memory=3) as engine:
            for name in ("done", "running", "new"):
                await create_study(engine, new_study(name))
                await ask(await engine.get_actor(name), Ask(count=2))
            done = await engine.get_actor("done")
            for number in range(2):
                await tell(done, number, Outcome(TrialState.COMPLETE, (1.0,)))
            await engine.put_idle_aside(idle_seconds=0)
            assert [actor.spec.name for actor in engine.list_actors()] == ["running", "new"]
            with pytest.raises(StudyReloading):
                await ask(done, Ask())
            (asked,) = await ask_once(engine, "done")
            assert asked.number == 2

    async def test_another_server_may_have_a_study_that_was_put_aside(
        self, engine: Engine, database: Database
    ) -> None:
        await create_study(engine, new_study())
        async with open_engine(database, reap_every_seconds=None, max_trials_in_memory=0) as other:
            await ask_once(other, "s")
            actor = await other.get_actor("s")
            await tell(actor, 0, Outcome(TrialState.COMPLETE, (1.0,)))
            await other.put_idle_aside(idle_seconds=0)
            (asked,) = await ask_once(engine, "s")
        assert asked.number == 1
