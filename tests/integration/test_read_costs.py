"""Reading has a steady price: one statement, through indexes, and only what is wanted."""

import dataclasses
from typing import Any, ClassVar

import psycopg
import pytest
from optuna.storages import RDBStorage

from service.domain.trials import TrialView
from service.storage.charts import LIST_CURVES, READ_HISTORY
from service.storage.database import Database
from service.storage.distributions import LIST_DISTRIBUTIONS
from service.storage.reads import FIND_STUDY, LIST_STUDIES
from service.storage.results import LIST_RESULTS
from service.storage.trial_columns import LIST_DRAWN, LIST_GIVEN, LIST_REACHED
from service.storage.trial_lists import (
    LIST_BEST,
    LIST_NEWEST,
    LIST_NUMBERED_BEST,
    LIST_NUMBERED_NEWEST,
    LIST_NUMBERED_OLDEST,
    LIST_OLDEST,
)
from service.storage.trial_rows import LIST_NUMBERED_TRIALS, LIST_TRIALS
from tests.integration.query_plans import Params, Plan
from tests.integration.reads_use import ANY_STATE, execute, make_study, open_reads


class CountingCursor(psycopg.AsyncCursor[Any]):
    """Counts what is sent to the database."""

    statements: ClassVar[int] = 0

    async def execute(self, *args: Any, **kwargs: Any) -> Any:
        type(self).statements += 1
        return await super().execute(*args, **kwargs)


async def test_each_read_is_one_statement(
    database: Database, storage: RDBStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    study_id = make_study(storage, database, "s", trials=20)
    make_study(storage, database, "t")
    options = {"autocommit": True, "cursor_factory": CountingCursor}
    monkeypatch.setattr(CountingCursor, "statements", 0)

    async with open_reads(database, kwargs=options) as reads:
        await reads.list_studies(state=None, name_contains=None, limit=9, after=None)
        assert CountingCursor.statements == 1
        await reads.find_study("s")
        assert CountingCursor.statements == 2
        await reads.list_trials(study_id, states=None, limit=20, after=None)
        assert CountingCursor.statements == 3
        await reads.find_trial(study_id, 7)
        assert CountingCursor.statements == 4


LOAD_MANY = """
SET session_replication_role = replica;
INSERT INTO public.studies (study_id, study_name)
    SELECT s, 'study ' || s FROM generate_series(1, 1000) AS s;
INSERT INTO asktell.studies
    (study_id, name, spec, settings, state, created_at, last_activity_at)
    SELECT study_id, study_name, '{}', '{}', 'active', now(), now() FROM public.studies;
INSERT INTO public.trials (trial_id, number, study_id, state)
    SELECT t, (t - 1) / 1000, 1 + (t - 1) % 1000, 'COMPLETE' FROM generate_series(1, 100000) AS t;
INSERT INTO asktell.trials (trial_id, study_id, number, attempt, phase)
    SELECT trial_id, study_id, number, 1, 'ended' FROM public.trials;
INSERT INTO public.trial_params (trial_id, param_name, param_value, distribution_json)
    SELECT trial_id, 'x', 0.5, '{}' FROM public.trials WHERE number BETWEEN 40 AND 59;
INSERT INTO public.trial_values (trial_id, objective, value, value_type)
    SELECT trial_id, 0, 0.5, 'FINITE' FROM public.trials WHERE number BETWEEN 40 AND 59;
INSERT INTO public.trial_intermediate_values
    (trial_id, step, intermediate_value, intermediate_value_type)
    SELECT trial_id, 0, 0.5, 'FINITE' FROM public.trials WHERE number BETWEEN 40 AND 59;
INSERT INTO public.trial_intermediate_values
    (trial_id, step, intermediate_value, intermediate_value_type)
    SELECT trial_id, step, 0.5, 'FINITE' FROM public.trials, generate_series(0, 4999) AS step
    WHERE study_id = 400 AND number = 99;
INSERT INTO public.trial_user_attributes (trial_id, key, value_json)
    SELECT trial_id, 'note', '1' FROM public.trials WHERE number BETWEEN 40 AND 59;
INSERT INTO public.trial_system_attributes (trial_id, key, value_json)
    SELECT trial_id, 'constraints', '[0.5]' FROM public.trials WHERE number BETWEEN 40 AND 59;
INSERT INTO asktell.sweeps (study_id, sweep_id, executor, queue, arguments)
    SELECT study_id, to_char(study_id, 'FM00000000'), 'process', 'default', '{}'
    FROM public.studies;
INSERT INTO asktell.attempts
    (study_id, number, attempt, state, claim, worker_id, worker_name, host, claimed_at)
    SELECT study_id, number, 1, 'succeeded', 1, 'w', 'w', 'h', now()
    FROM public.trials WHERE number BETWEEN 40 AND 59;
INSERT INTO asktell.attempt_logs (study_id, number, attempt, first_byte, content)
    SELECT study_id, number, 1, 0, 'x' FROM asktell.attempts WHERE number = 50;
INSERT INTO public.study_system_attributes (study_id, key, value_json)
    SELECT study_id, 'asktell:constraint_names', '["size"]' FROM public.studies;
INSERT INTO public.study_user_attributes (study_id, key, value_json)
    SELECT study_id, 'owner', '"us"' FROM public.studies;
SET session_replication_role = origin;
ANALYZE;
"""

ALL_FIELDS = [field.name for field in dataclasses.fields(TrialView)]
PAGE_OF_STUDIES = {"after": "study 5", "states": ["active"], "name_contains": "", "limit": 50}
PAGE_OF_TRIALS = {
    "study_id": 500,
    "after": 40,
    "states": ANY_STATE,
    "limit": 20,
    "fields": ALL_FIELDS,
}
ONE_TRIAL = PAGE_OF_TRIALS | {"after": 98, "limit": 1}
NUMBERED_TRIALS = {"study_id": 500, "fields": ALL_FIELDS, "numbers": [3, 50, 77]}
PAGE_FOR_PEOPLE = PAGE_OF_TRIALS | {
    "fields": [*ALL_FIELDS, "last_step", "latest_attempt"],
    "sign": -1,
}


def test_hot_queries_use_their_indexes(database: Database) -> None:
    execute(database, LOAD_MANY)
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        studies = Plan(connection, LIST_STUDIES, PAGE_OF_STUDIES)
        study = Plan(connection, FIND_STUDY, {"name": "study 7"})
        trials = [
            Plan(connection, LIST_TRIALS, PAGE_OF_TRIALS),
            Plan(connection, LIST_TRIALS, ONE_TRIAL),
            Plan(connection, LIST_NUMBERED_TRIALS, NUMBERED_TRIALS),
        ]

    assert studies.indexes == {"studies_name_key"}
    assert study.indexes == {
        "studies_name_key",
        "study_user_attributes_study_id_key_key",
        "sweeps_pkey",
    }
    for plan in trials:
        assert plan.indexes == {
            "trials_study_id_number_key",
            "trials_pkey",
            "trial_params_trial_id_param_name_key",
            "trial_values_trial_id_objective_key",
            "trial_intermediate_values_trial_id_step_key",
            "trial_user_attributes_trial_id_key_key",
            "trial_system_attributes_trial_id_key_key",
            "study_system_attributes_study_id_key_key",
            "studies_pkey",
        }
    for plan in (studies, study, *trials):
        assert not plan.scans_whole_tables
        assert plan.most_rows <= 50


COLUMNS: dict[str, Any] = {
    "study_id": 500,
    "names": ["x"],
    "has_variants": True,
    "separator": " ∈ ",
    "objectives": [0],
}
NUMBERED_PAGE = PAGE_FOR_PEOPLE | {"after": None, "numbers": list(range(40, 60))}
CURVES = {"study_id": 500, "number": None, "trials": 1, "points": 10}

TRIALS_OF_A_STUDY = 100
TRIALS_WITH_VALUES = 20
READS_FOR_PEOPLE: dict[str, tuple[str, Params, int]] = {
    "oldest": (LIST_OLDEST, PAGE_FOR_PEOPLE, TRIALS_WITH_VALUES),
    "newest": (LIST_NEWEST, PAGE_FOR_PEOPLE | {"after": 60}, TRIALS_WITH_VALUES),
    # These compare all trials of the study.
    "newest of a state": (
        LIST_NEWEST,
        PAGE_FOR_PEOPLE | {"after": None, "states": ["FAIL"]},
        TRIALS_OF_A_STUDY,
    ),
    "results": (LIST_RESULTS, {"study_id": 500}, TRIALS_OF_A_STUDY),
    "distributions": (LIST_DISTRIBUTIONS, {"study_id": 500}, TRIALS_OF_A_STUDY),
    "best": (LIST_BEST, PAGE_FOR_PEOPLE | {"after": None}, TRIALS_OF_A_STUDY),
    "parameters": (LIST_DRAWN, COLUMNS, TRIALS_OF_A_STUDY),
    "given by code": (LIST_GIVEN, COLUMNS, TRIALS_OF_A_STUDY),
    "objectives": (LIST_REACHED, COLUMNS, TRIALS_OF_A_STUDY),
    "numbered oldest": (LIST_NUMBERED_OLDEST, NUMBERED_PAGE, TRIALS_WITH_VALUES),
    "numbered newest": (LIST_NUMBERED_NEWEST, NUMBERED_PAGE, TRIALS_WITH_VALUES),
    "numbered best": (LIST_NUMBERED_BEST, NUMBERED_PAGE, TRIALS_OF_A_STUDY),
    "history": (
        READ_HISTORY,
        {"study_id": 500, "sign": 1, "span": 160, "points": 10},
        TRIALS_OF_A_STUDY,
    ),
    # Trials without reports are passed over.
    "curves": (LIST_CURVES, CURVES | {"trials": 5}, 60),
    "a long curve": (LIST_CURVES, CURVES | {"study_id": 400}, 11),
    "the curve of a trial": (LIST_CURVES, CURVES | {"number": 50}, 1),
}


def test_what_people_look_at_is_found_through_indexes(
    database: Database, subtests: pytest.Subtests
) -> None:
    execute(database, LOAD_MANY)
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        for name, (query, params, most_rows) in READS_FOR_PEOPLE.items():
            with subtests.test(name):
                plan = Plan(connection, query, params)

                assert not plan.scans_whole_tables, plan.text
                assert plan.most_rows <= most_rows, plan.text
        page = Plan(connection, LIST_OLDEST, PAGE_OF_TRIALS)
    assert not page.used_indexes & {"attempts_pkey", "sweeps_pkey", "attempt_logs_pkey"}


def test_fields_that_nobody_wants_are_not_looked_up(database: Database) -> None:
    execute(database, LOAD_MANY)
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        plan = Plan(connection, LIST_TRIALS, PAGE_OF_TRIALS | {"fields": ["number", "params"]})

    assert plan.used_indexes == {
        "trials_study_id_number_key",
        "trials_pkey",
        "trial_params_trial_id_param_name_key",
        "study_system_attributes_study_id_key_key",
        "studies_pkey",
    }
