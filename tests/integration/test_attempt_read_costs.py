"""What is asked of sweeps, attempts and logs goes through indexes, however many there are."""

import psycopg
import pytest

from service.storage.attempts import (
    ADD_LOG,
    FIND_ATTEMPT,
    LIST_ATTEMPTS,
    LIST_ATTEMPTS_OF_TRIAL,
    READ_LOG,
)
from service.storage.database import Database
from service.storage.launches import (
    _FIND_STUDY,
    _LIST_ABANDONED,
    _LIST_OPEN,
    _LIST_PREEMPTED,
    _LIST_WANTING,
)
from service.storage.mirrors import CLAIM_MIRRORS
from service.storage.sweeps import COUNT_ATTEMPTS, FIND_SWEEP, LIST_SWEEPS
from tests.integration.query_plans import Params, Plan
from tests.integration.reads_use import execute

LOAD_MANY = """
SET session_replication_role = replica;
INSERT INTO asktell.studies
    (study_id, name, spec, settings, state, created_at, last_activity_at, wanted, waiting_since)
    SELECT s, 'study ' || s, '{}', '{}', 'active', now(), now(),
           CASE WHEN s % 100 = 0 THEN 1 ELSE 0 END, CASE WHEN s % 100 = 0 THEN now() END
    FROM generate_series(1, 2000) AS s;
INSERT INTO asktell.sweeps (study_id, sweep_id, executor, queue, arguments)
    SELECT s, to_char(s, 'FM00000000'), 'process', 'default',
           json_build_object('command', repeat('word ', 100))
    FROM generate_series(1, 2000) AS s;
INSERT INTO asktell.mirrors (study_id, external_ref)
    SELECT s, 'ada/digits/' || s FROM generate_series(1, 2000) AS s;
INSERT INTO asktell.workers
    (worker_id, name, host, queue, executors, slots, busy, state, version, started_at, last_seen_at)
    SELECT 'w' || w, 'w', 'h', 'default', '{process}', 1, 1, 'active', '1', now(),
           CASE WHEN w = 2 THEN timestamptz '2025-01-01' ELSE now() END
    FROM generate_series(0, 999) AS w;
INSERT INTO asktell.attempts
    (study_id, number, attempt, state, claim, worker_id, worker_name, host, claimed_at, ended_at)
    SELECT 1 + a % 2000, a / 2000, 1, 'succeeded', 1, 'w' || a % 20, 'w', 'h', now(),
           CASE WHEN a < 99900 THEN now() END
    FROM generate_series(0, 99999) AS a;
INSERT INTO asktell.attempt_logs (study_id, number, attempt, first_byte, content)
    SELECT 7, a, 1, part * 10, '0123456789'
    FROM generate_series(0, 49) AS a, generate_series(0, 999) AS part;
SET session_replication_role = origin;
ANALYZE;
"""

PAGE_OF_SWEEPS = {
    "after": "study 5",
    "states": ["active"],
    "stop_reasons": ["stopped"],
    "or_no_stop_reason": True,
    "name_contains": "",
    "limit": 20,
}
PAGE_OF_ATTEMPTS = {
    "study_id": 7,
    "before_number": 40,
    "before_attempt": 1,
    "states": ["succeeded"],
    "limit": 20,
    "number": 39,
}
ONE_ATTEMPT = {"study_id": 7, "number": 3, "attempt": 1}
PART_OF_LOG = ONE_ATTEMPT | {"offset": 5005, "limit": 200}
NEW_PART = {
    "sweep_id": "00000007",
    "number": 3,
    "attempt": 1,
    "claim": 1,
    "offset": 9995,
    "content": b"56789abcde",
    "forget_before": 50,
}
LEFT = {
    "worker_id": "w1",
    "queue": "default",
    "executors": ["process"],
    "unseen_since": "2026-01-01T00:00:00Z",
    "limit": 5,
}

# Of what workers look for every second only a little is left.
END_MOST = """
UPDATE asktell.studies SET state = 'finished' WHERE study_id % 100 <> 0;
UPDATE asktell.mirrors SET agreed = 'finished' WHERE study_id % 100 > 1;
SET session_replication_role = replica;
INSERT INTO asktell.mirrors (study_id, external_ref, agreed)
    SELECT s, 'ada/digits/' || s, 'finished' FROM generate_series(2001, 40000) AS s;
SET session_replication_role = origin;
ANALYZE;
"""
MIRRORS = {
    "worker_id": "w1",
    "queue": "default",
    "executors": ["process"],
    "now": "2026-01-01T00:00:00Z",
    "kept_until": "2026-01-01T00:01:00Z",
}

QUERIES: list[tuple[str, str, Params, int]] = [
    ("list sweeps", LIST_SWEEPS, PAGE_OF_SWEEPS, 50),
    ("find a sweep", FIND_SWEEP, {"study_id": 7}, 1),
    ("count attempts", COUNT_ATTEMPTS, {"study_ids": [7]}, 50),
    ("list attempts", LIST_ATTEMPTS, PAGE_OF_ATTEMPTS, 20),
    ("list attempts of a trial", LIST_ATTEMPTS_OF_TRIAL, PAGE_OF_ATTEMPTS, 20),
    ("find an attempt", FIND_ATTEMPT, ONE_ATTEMPT, 1),
    ("list what wants attempts", _LIST_WANTING, ["default", ["process"]], 20),
    ("list what a worker has", _LIST_OPEN, ["w1"], 5),
    ("list what others left", _LIST_ABANDONED, LEFT, 300),
    ("list what was preempted", _LIST_PREEMPTED, [[7, 7], [3, 4]], 5),
    ("find the study of a sweep", _FIND_STUDY, ["00000007"], 1),
    ("read a log", READ_LOG, PART_OF_LOG, 30),
    ("add to a log", ADD_LOG, NEW_PART, 10),
]


def test_everything_goes_through_indexes(database: Database, subtests: pytest.Subtests) -> None:
    execute(database, LOAD_MANY)
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        for name, query, params, most_rows in QUERIES:
            with subtests.test(name):
                plan = Plan(connection, query, params)

                assert not plan.scans_whole_tables, plan.text
                assert plan.most_rows <= most_rows, plan.text


def test_what_has_not_ended_is_found_through_indexes(database: Database) -> None:
    execute(database, LOAD_MANY)
    execute(database, END_MOST)
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        plan = Plan(connection, CLAIM_MIRRORS, MIRRORS)

    assert not plan.scans_whole_tables, plan.text
    assert {"studies_open", "mirrors_open"} <= plan.indexes
