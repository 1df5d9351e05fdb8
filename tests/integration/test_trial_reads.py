"""What clients read of trials is what plain Optuna and the engine committed."""

import dataclasses
import math
from datetime import UTC, timedelta
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as OptunaState

from service.domain.trials import Decision, TrialState, TrialView
from service.storage.database import Database
from service.storage.reads import Reads
from service.storage.results import find_front
from tests.integration.reads_use import build_spec, execute, make_study, manage


def fill_with_every_kind(storage: RDBStorage, name: str) -> list[FrozenTrial]:
    study = optuna.create_study(storage=storage, study_name=name, directions=["maximize"] * 2)
    distributions = {
        "z_float": FloatDistribution(1e-5, 0.1, log=True),
        "layers": IntDistribution(1, 9, step=2),
        "choice": CategoricalDistribution([None, True, 3, 2.5, "adam"]),
    }
    for choice, state, values in (
        (None, OptunaState.COMPLETE, [math.inf, 0.1 + 0.2]),
        (True, OptunaState.COMPLETE, [-math.inf, 1e-300]),
        (3, OptunaState.PRUNED, None),
        (2.5, OptunaState.FAIL, None),
        ("adam", OptunaState.RUNNING, None),
    ):
        study.add_trial(
            create_trial(
                state=state,
                values=values,
                params={"z_float": 0.00123, "layers": 5, "choice": choice},
                distributions=distributions,
                user_attrs={"note": {"ü": [1, None]}, "empty": ""},
                intermediate_values={3: math.nan, 1: math.inf, 2: -math.inf, 0: 0.1},
            )
        )
    study.enqueue_trial({"layers": 3})
    return study.trials


async def test_trials_read_as_optuna_reads_them(
    database: Database, storage: RDBStorage, reads: Reads
) -> None:
    frozen = fill_with_every_kind(storage, "all")
    study_id = manage(database, build_spec("all", objectives=2))

    views = await reads.list_trials(study_id, states=None, limit=100, after=None)

    assert [facts_of_view(view) for view in views] == [facts_of_frozen(trial) for trial in frozen]
    assert [type(view.params.get("layers")) for view in views[:5]] == [int] * 5
    assert list(views[0].params) == ["z_float", "layers", "choice"]
    assert list(views[0].intermediate_values) == [0, 1, 2, 3]


def facts_of_view(view: TrialView) -> dict[str, Any]:
    return {
        "number": view.number,
        "state": view.state.name,
        "params": view.params,
        "values": None if view.values is None else list(view.values),
        "points": repr(sorted(view.intermediate_values.items())),
        "user_attrs": view.user_attrs,
        "started_at": view.started_at,
        "finished_at": view.finished_at,
    }


def facts_of_frozen(trial: FrozenTrial) -> dict[str, Any]:
    started, finished = trial.datetime_start, trial.datetime_complete
    return {
        "number": trial.number,
        "state": trial.state.name,
        "params": trial.params,
        "values": trial.values,
        "points": repr(sorted(trial.intermediate_values.items())),
        "user_attrs": trial.user_attrs,
        "started_at": None if started is None else started.astimezone(UTC),
        "finished_at": None if finished is None else finished.astimezone(UTC),
    }


async def test_trial_tells_what_only_the_engine_knows(
    database: Database, storage: RDBStorage, reads: Reads
) -> None:
    study_id = make_study(storage, database, "s", trials=2)
    execute(
        database,
        "UPDATE asktell.trials SET attempt = 2, ask_seq = 5, tell_seq = 9, decision_step = 4,"
        " should_prune = true, reason = 'out of memory' WHERE number = 1",
    )

    trial = await reads.find_trial(study_id, 1)

    assert trial is not None
    assert (trial.attempt, trial.ask_seq, trial.tell_seq) == (2, 5, 9)
    assert trial.decision == Decision(should_prune=True, step=4)
    assert trial.reason == "out of memory"


async def test_trial_without_engine_data_has_no_decision(
    database: Database, storage: RDBStorage, reads: Reads
) -> None:
    study_id = make_study(storage, database, "s", trials=1)

    trial = await reads.find_trial(study_id, 0)

    assert trial is not None
    assert trial.decision == Decision(should_prune=False, step=None)
    assert (trial.ask_seq, trial.tell_seq, trial.reason) == (None, None, None)
    assert trial.started_at is not None
    assert trial.started_at.utcoffset() == timedelta(0)


async def test_trial_pages_follow_each_other(
    database: Database, storage: RDBStorage, reads: Reads
) -> None:
    study_id = make_study(storage, database, "s", trials=5)
    make_study(storage, database, "other", trials=3)

    async def numbers(after: int | None) -> list[int]:
        page = await reads.list_trials(study_id, states=None, limit=2, after=after)
        return [trial.number for trial in page]

    assert await numbers(None) == [0, 1]
    assert await numbers(1) == [2, 3]
    assert await numbers(3) == [4]
    assert await numbers(4) == []


async def test_trials_are_filtered_by_state(
    database: Database, storage: RDBStorage, reads: Reads
) -> None:
    fill_with_every_kind(storage, "all")
    study_id = manage(database, build_spec("all", objectives=2))

    async def numbers(*states: TrialState) -> list[int]:
        page = await reads.list_trials(study_id, states=states, limit=9, after=None)
        return [trial.number for trial in page]

    assert await numbers(TrialState.COMPLETE) == [0, 1]
    assert await numbers(TrialState.FAIL, TrialState.PRUNED) == [2, 3]
    assert await numbers(TrialState.WAITING) == [5]
    assert await numbers() == []


async def test_trial_number_that_does_not_exist_is_not_found(
    database: Database, storage: RDBStorage, reads: Reads
) -> None:
    study_id = make_study(storage, database, "s", trials=3)

    for number in (-1, 3, 2**31, 2**63, 10**30):
        assert await reads.find_trial(study_id, number) is None, number


async def test_trial_that_only_optuna_knows_disturbs_nothing(
    database: Database, storage: RDBStorage, reads: Reads
) -> None:
    study_id = make_study(storage, database, "s", trials=3)
    execute(database, "DELETE FROM asktell.trials WHERE number = 1")

    page = await reads.list_trials(study_id, states=None, limit=9, after=None)

    assert [trial.number for trial in page] == [0, 2]
    assert await reads.find_trial(study_id, 1) is None


async def test_only_wanted_fields_are_read(
    database: Database, storage: RDBStorage, reads: Reads
) -> None:
    fill_with_every_kind(storage, "all")
    study_id = manage(database, build_spec("all", objectives=2))

    async def first(*fields: str) -> TrialView:
        page = await reads.list_trials(study_id, states=None, limit=1, after=None, fields=fields)
        return page[0]

    whole = await reads.find_trial(study_id, 0)
    assert whole is not None
    nothing: dict[str, Any] = {
        "params": {},
        "values": None,
        "intermediate_values": {},
        "user_attrs": {},
    }
    assert await first("number") == dataclasses.replace(whole, **nothing)
    for name in nothing:
        others = {each: value for each, value in nothing.items() if each != name}
        assert repr(await first(name)) == repr(dataclasses.replace(whole, **others))


async def test_numbered_trials_are_read_whole(
    database: Database, storage: RDBStorage, reads: Reads
) -> None:
    fill_with_every_kind(storage, "all")
    study_id = manage(database, build_spec("all", objectives=2))

    trials = await reads.list_numbered_trials(study_id, [4, 1, 99])

    assert repr(trials) == repr([await reads.find_trial(study_id, number) for number in (1, 4)])
    assert await reads.list_numbered_trials(study_id, []) == []


def fill_with_constraints(storage: RDBStorage, name: str) -> optuna.Study:
    study = optuna.create_study(storage=storage, study_name=name, directions=["maximize"] * 2)
    for values, attrs in (
        ([1.0, 2.0], {}),
        ([9.0, 9.0], {"constraints": [0.5, -1.0]}),
        ([math.inf, 1.0], {"constraints": [0.0, -math.inf]}),
        ([8.0, 8.0], {"constraints:size": 0.1}),
        ([1.0, 2.0], {"constraints:size": -0.1}),
        ([0.0, 0.0], {"constraints": []}),
    ):
        study.add_trial(create_trial(values=values, system_attrs=attrs))
    study.add_trial(create_trial(state=OptunaState.FAIL, system_attrs={"constraints": [-1.0]}))
    return study


async def test_results_are_those_that_optuna_finds_feasible(
    database: Database, storage: RDBStorage, reads: Reads
) -> None:
    study = fill_with_constraints(storage, "s")
    spec = build_spec("s", objectives=2)
    study_id = manage(database, spec)

    results = await reads.list_results(study_id)

    assert [result.number for result in results] == [0, 2, 4, 5]
    assert results[1].values == (math.inf, 1.0)
    best = [trial.number for trial in study.best_trials]
    assert find_front(results, spec.objectives) == best == [0, 2, 4]


async def test_constraints_have_the_names_of_the_study(
    database: Database, storage: RDBStorage, reads: Reads
) -> None:
    study = fill_with_constraints(storage, "s")
    study_id = manage(database, build_spec("s", objectives=2))

    async def read() -> list[Any]:
        trials = await reads.list_trials(study_id, states=None, limit=9, after=None)
        return [trial.constraints for trial in trials[:4]]

    assert await read() == [
        None,
        {"0": 0.5, "1": -1.0},
        {"0": 0.0, "1": -math.inf},
        {"size": 0.1},
    ]
    execute(
        database,
        "INSERT INTO public.study_system_attributes (study_id, key, value_json)"
        " VALUES (%(study_id)s, 'asktell:constraint_names', '[\"cost\"]')",
        {"study_id": study._study_id},
    )
    assert (await read())[1:] == [
        {"cost": 0.5, "1": -1.0},
        {"cost": 0.0, "1": -math.inf},
        {"size": 0.1},
    ]
