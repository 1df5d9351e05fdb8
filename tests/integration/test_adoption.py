"""A study of plain Optuna becomes ours as it is, or stays as it is."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.trial import create_trial

from service.domain.errors import (
    AsktellError,
    Invalid,
    InvalidSampler,
    InvalidSettings,
    StudyExists,
    StudyNotAdoptable,
    StudyNotFound,
)
from service.domain.studies import (
    BestTrial,
    Budget,
    Component,
    Direction,
    Objective,
    StudySettings,
    StudyState,
    TrialCounts,
)
from service.domain.trials import AttemptPhase, Outcome, TrialState
from service.engine.adopt import Adoption, adopt_study
from service.engine.ask import Ask, ask
from service.engine.create import create_study
from service.engine.engine import Engine, open_engine
from service.engine.expire import expire
from service.engine.report import report
from service.engine.suggest import suggest
from service.engine.tell import tell
from service.storage.database import Database
from tests.integration.engine_use import new_study
from tests.integration.plain_studies import MANAGED, Clock, execute, fetch, make_plain
from tests.integration.table_contents import read_tables

X = {"x": {"type": "float", "low": 0.0, "high": 1.0}}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def engine(database: Database, clock: Clock) -> AsyncIterator[Engine]:
    async with open_engine(database, clock=clock, reap_every_seconds=None) as opened:
        yield opened


class TestAdopting:
    async def test_keeps_everything(
        self, engine: Engine, storage: RDBStorage, clock: Clock
    ) -> None:
        plain = make_plain(storage)
        before = plain.trials

        await adopt_study(engine, Adoption("s"))

        study = await engine.reads.find_study("s")
        assert study is not None
        assert study.summary.state is StudyState.ACTIVE
        assert study.summary.counts == TrialCounts(
            waiting=1, running=1, complete=2, pruned=1, fail=1
        )
        assert study.summary.best == BestTrial(0, 0.25)
        assert study.summary.started == 0
        assert study.user_attrs == {"owner": "us"}
        assert study.settings == StudySettings()
        assert study.spec.objectives == (Objective("value", Direction.MINIMIZE),)
        assert study.spec.space is None
        assert study.spec.sampler.type == "TPESampler"
        assert optuna.load_study(study_name="s", storage=storage).trials == before
        views = await engine.reads.list_trials(
            study.summary.study_id, states=None, limit=9, after=None
        )
        assert [view.phase for view in views] == [
            *[AttemptPhase.ENDED] * 4,
            AttemptPhase.LIVE,
            AttemptPhase.QUEUED,
        ]
        assert [view.attempt for view in views] == [1, 1, 1, 1, 1, 0]
        assert {view.ask_seq for view in views} == {view.tell_seq for view in views} == {None}
        assert views[4].decision.lease_expires_at == clock() + timedelta(hours=1)

    async def test_leaves_plain_optuna_to_read(self, engine: Engine, storage: RDBStorage) -> None:
        plain = make_plain(storage)

        await adopt_study(engine, Adoption("s"))

        assert plain.best_value == 0.25
        for write in (
            lambda: plain.ask(),
            lambda: plain.tell(4, 0.0),
            lambda: plain.set_user_attr("owner", "them"),
        ):
            with pytest.raises(Exception) as caught:
                write()
            assert MANAGED in f"{caught.value} {caught.value.__cause__}"

    async def test_goes_on_with_it(self, engine: Engine, storage: RDBStorage) -> None:
        make_plain(storage)
        await adopt_study(
            engine, Adoption("s", settings=StudySettings(budget=Budget(max_trials=2)))
        )
        actor = await engine.get_actor("s")

        (enqueued,) = await ask(actor, Ask())
        assert (enqueued.number, enqueued.attempt) == (5, 1)
        assert await suggest(actor, 5, X) == {"x": 0.125}
        (asked,) = await ask(actor, Ask(distributions=X))
        assert asked.number == 6
        await report(actor, 6, [(0, 0.5)])
        await tell(actor, 6, Outcome(TrialState.COMPLETE, (0.125,)))

        study = await engine.reads.find_study("s")
        assert study is not None
        assert study.summary.best == BestTrial(6, 0.125)
        assert study.summary.started == 2
        trials = optuna.load_study(study_name="s", storage=storage).trials
        assert [trial.number for trial in trials] == list(range(7))
        assert set(trials[6].params) == {"x"}

    async def test_running_trial_is_told_here(self, engine: Engine, storage: RDBStorage) -> None:
        plain = make_plain(storage)
        await adopt_study(engine, Adoption("s"))
        actor = await engine.get_actor("s")

        await report(actor, 4, [(1, 0.25)])
        view = await tell(actor, 4, Outcome(TrialState.COMPLETE, (0.0,)))

        assert view.attempt == 1
        assert dict(view.intermediate_values) == {0: 0.5, 1: 0.25}
        assert plain.best_trial.number == 4

    async def test_running_trial_that_nobody_heard_of_is_tried_again(
        self, engine: Engine, storage: RDBStorage, clock: Clock
    ) -> None:
        make_plain(storage)
        await adopt_study(engine, Adoption("s", settings=StudySettings(lease_seconds=60)))
        overdue_before = await engine.list_overdue()
        clock.now += timedelta(seconds=61)
        assert (overdue_before, await engine.list_overdue()) == ([], ["s"])
        actor = await engine.get_actor("s")
        clock.now += timedelta(seconds=61)

        await expire(actor)
        (asked,) = await ask(actor, Ask())

        assert (asked.number, asked.attempt) == (4, 2)
        assert dict(actor.get_trial(4).intermediate_values) == {}

    async def test_takes_names_and_directions_of_objectives(
        self, engine: Engine, storage: RDBStorage
    ) -> None:
        directions = ["maximize", "minimize"]
        optuna.create_study(storage=storage, study_name="plain", directions=directions)
        named = optuna.create_study(storage=storage, study_name="named", directions=directions)
        with pytest.warns(optuna.exceptions.ExperimentalWarning):
            named.set_metric_names(["accuracy", "seconds"])

        for name in ("plain", "named"):
            await adopt_study(engine, Adoption(name))

        for name, names in (
            ("plain", ("value_0", "value_1")),
            ("named", ("accuracy", "seconds")),
        ):
            study = await engine.reads.find_study(name)
            assert study is not None
            assert study.spec.objectives == (
                Objective(names[0], Direction.MAXIMIZE),
                Objective(names[1], Direction.MINIMIZE),
            )
            assert study.summary.best is None

    async def test_best_is_feasible_and_the_first_of_equals(
        self, engine: Engine, storage: RDBStorage
    ) -> None:
        study = optuna.create_study(storage=storage, study_name="s", direction="maximize")
        for value, attrs in (
            (9.0, {"constraints": [0.1, -1.0]}),
            (8.0, {"constraints:size": 1.0}),
            (7.0, {"constraints": [0.0]}),
            (7.0, {}),
            (6.0, {}),
        ):
            study.add_trial(create_trial(value=value, system_attrs=attrs))

        await adopt_study(engine, Adoption("s"))

        stored = await engine.reads.find_study("s")
        assert stored is not None
        assert stored.summary.best == BestTrial(2, 7.0)
        assert study.best_trial.number == 2

    async def test_believes_nothing_that_only_the_engine_writes(
        self, engine: Engine, storage: RDBStorage, database: Database
    ) -> None:
        study = optuna.create_study(storage=storage, study_name="s")
        for prefix in ("cma", "sepcma", "cmawm"):
            attrs = {f"{prefix}:optimizer:0": "63", f"{prefix}:generation": 0, "kept": 1}
            study.add_trial(create_trial(value=0.0, system_attrs=attrs))
        storage.set_trial_system_attr(study.ask()._trial_id, "asktell:relative", {"x": 7})
        for key in ("exhausted", "pruner", "constraint_names"):
            storage.set_study_system_attr(study._study_id, f"asktell:{key}", {"any": "thing"})

        await adopt_study(engine, Adoption("s", sampler=Component("CmaEsSampler")))

        assert fetch(database, "SELECT DISTINCT key FROM trial_system_attributes") == [("kept",)]
        assert fetch(database, "SELECT key FROM study_system_attributes") == []

    async def test_keeps_the_names_of_constraints(
        self, engine: Engine, storage: RDBStorage
    ) -> None:
        study = optuna.create_study(storage=storage, study_name="s")
        study.add_trial(create_trial(value=0.0, system_attrs={"constraints": [0.5]}))
        storage.set_study_system_attr(study._study_id, "asktell:constraint_names", ["size"])

        await adopt_study(engine, Adoption("s"))

        stored = await engine.reads.find_study("s")
        assert stored is not None
        trial = await engine.reads.find_trial(stored.summary.study_id, 0)
        assert trial is not None
        assert trial.constraints == {"size": 0.5}


UNFIT: dict[str, tuple[str, str]] = {
    "a gap": ("UPDATE trials SET number = 9 WHERE number = 5", "number 9"),
    "a repeat": ("UPDATE trials SET number = 4 WHERE number = 5", "number 4"),
    "no number": ("UPDATE trials SET number = NULL WHERE number = 5", "number None"),
    "ids out of order": (
        "UPDATE trials SET number = 5 - number WHERE number IN (0, 5)",
        "number 1",
    ),
    "an old distribution": (
        """UPDATE trial_params SET distribution_json = '{"name": "UniformDistribution",
           "attributes": {"low": 0, "high": 1}}' WHERE param_id = 1""",
        "Parameter 'x'",
    ),
    "a new distribution": (
        """UPDATE trial_params SET distribution_json = '{"name": "Quantum"}' WHERE param_id = 1""",
        "Parameter 'x'",
    ),
    "no distribution": (
        "UPDATE trial_params SET distribution_json = '7' WHERE param_id = 1",
        "Parameter 'x'",
    ),
    "no such choice": (
        """UPDATE trial_params SET param_value = 2, distribution_json =
           '{"name": "CategoricalDistribution", "attributes": {"choices": ["a", "b"]}}'""",
        "Parameter 'x'",
    ),
    "no direction": ("UPDATE study_directions SET direction = 'NOT_SET'", "directions"),
    "equal metric names": (
        """INSERT INTO study_system_attributes (study_id, key, value_json)
           SELECT study_id, 'study:metric_names', '["a", "a"]' FROM studies""",
        "set_metric_names",
    ),
}


class TestRefusing:
    @pytest.mark.parametrize("case", UNFIT)
    async def test_study_that_the_engine_could_not_go_on_with(
        self, database: Database, engine: Engine, storage: RDBStorage, case: str
    ) -> None:
        change, words = UNFIT[case]
        make_plain(storage)
        execute(database, change)
        before = read_tables(database)

        with pytest.raises(StudyNotAdoptable, match=words):
            await adopt_study(engine, Adoption("s"))

        assert read_tables(database) == before

    async def test_name_that_no_path_holds(self, engine: Engine, storage: RDBStorage) -> None:
        for name in ("", "a/b"):
            storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], name)

            with pytest.raises(StudyNotAdoptable, match="copy_study"):
                await adopt_study(engine, Adoption(name))

    async def test_study_that_nobody_has(self, engine: Engine) -> None:
        with pytest.raises(StudyNotFound, match="no study 's'"):
            await adopt_study(engine, Adoption("s"))

    async def test_study_that_is_managed(self, engine: Engine, storage: RDBStorage) -> None:
        make_plain(storage)
        await create_study(engine, new_study("ours"))
        await adopt_study(engine, Adoption("s"))

        for name in ("s", "ours"):
            with pytest.raises(StudyExists, match="already"):
                await adopt_study(engine, Adoption(name))

    async def test_second_of_two_at_once(self, engine: Engine, storage: RDBStorage) -> None:
        make_plain(storage)

        answers = await asyncio.gather(
            *(adopt_study(engine, Adoption("s")) for _ in range(4)), return_exceptions=True
        )

        assert sorted(type(answer).__name__ for answer in answers) == [
            "NoneType",
            *["StudyExists"] * 3,
        ]

    async def test_what_does_not_go_with_the_study(
        self, database: Database, engine: Engine, storage: RDBStorage
    ) -> None:
        make_plain(storage)
        before = read_tables(database)
        unfit: list[tuple[Adoption, type[AsktellError]]] = [
            (Adoption("s", sampler=Component("TPESampeler")), InvalidSampler),
            (Adoption("s", sampler=Component("GridSampler")), InvalidSampler),
            (Adoption("s", seed=-1), Invalid),
            (Adoption("s", settings=StudySettings(parallelism=0)), InvalidSettings),
        ]
        for adoption, error in unfit:
            with pytest.raises(error):
                await adopt_study(engine, adoption)

        assert read_tables(database) == before
