"""64 clients that die, stall, repeat, answer late and lie; and a judge that would notice."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import class_row

from service.storage.database import Database
from tests.acceptance.bad_clients import STUDY, BadClients
from tests.acceptance.calls import Call, Snapshot, StoredTrial
from tests.acceptance.json_http import open_json_http
from tests.acceptance.promises import Limits, find_breaches
from tests.acceptance.server_process import HEADERS, ServerProcess, running

_CLIENTS = 64
_LIMITS = Limits(max_trials=300, parallelism=24, max_attempts=2)
_LEASE_SECONDS = 1.5
_GIVE_UP_SECONDS = 150.0
_SPEC = {
    "name": STUDY,
    "direction": "minimize",
    "space": {"x": {"type": "float", "low": 0.0, "high": 1.0}},
    "sampler": {"type": "RandomSampler"},
    "pruner": {"type": "MedianPruner", "args": {"n_startup_trials": 3}},
    "seed": 1,
    "budget": {"max_trials": _LIMITS.max_trials},
    "parallelism": _LIMITS.parallelism,
    "lease_seconds": _LEASE_SECONDS,
    "retry": {"max_attempts": _LIMITS.max_attempts, "on": ["lost", "preempted"]},
}

# Every commit writes the study's row; deferred, the trigger sees all else that it wrote.
_RECORD_COMMITS = """
CREATE TABLE snapshots (
    id integer GENERATED ALWAYS AS IDENTITY,
    live integer, started integer, most_attempts integer, at_odds integer
);
CREATE FUNCTION take_snapshot() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.snapshots (live, started, most_attempts, at_odds)
    SELECT count(*) FILTER (WHERE own.phase = 'live'),
           count(own.ask_seq),
           coalesce(max(own.attempt), 0),
           count(*) FILTER (
               WHERE (own.phase = 'ended') <> (trial.state IN ('COMPLETE', 'PRUNED', 'FAIL')))
    FROM asktell.trials AS own JOIN public.trials AS trial USING (trial_id);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER take_snapshot AFTER UPDATE ON asktell.studies
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION take_snapshot();
"""

_LIST_SNAPSHOTS = "SELECT live, started, most_attempts, at_odds FROM snapshots ORDER BY id"

_LIST_TRIALS = """
SELECT trial.number, trial.state::text AS state, own.attempt, own.phase,
       ARRAY(SELECT value FROM trial_values AS v
             WHERE v.trial_id = trial.trial_id ORDER BY objective) AS values,
       ARRAY(SELECT ARRAY[step::text,
                          coalesce(intermediate_value::text, intermediate_value_type::text)]
             FROM trial_intermediate_values AS i WHERE i.trial_id = trial.trial_id) AS points
FROM asktell.trials AS own JOIN trials AS trial USING (trial_id)
ORDER BY trial.number
"""


@pytest.fixture
def server(database: Database, tmp_path: Path) -> Iterator[ServerProcess]:
    server = ServerProcess(database, tmp_path)
    with running(server):
        yield server


@pytest.mark.timeout(240)
async def test_promises_are_kept_whatever_clients_do(
    server: ServerProcess, database: Database
) -> None:
    _record_commits(database)
    async with open_json_http(server.url, HEADERS) as http, asyncio.timeout(_GIVE_UP_SECONDS):
        await http.send("POST", "/studies", _SPEC)
        clients = BadClients(http, lease_seconds=_LEASE_SECONDS)
        await clients.run(_CLIENTS)
        _, study = await http.send("GET", f"/studies/{STUDY}")

    calls = clients.journal
    snapshots, trials = _read_snapshots(database), _read_trials(database)
    assert find_breaches(_LIMITS, calls, snapshots, trials) == []
    assert (study["state"], study["stop_reason"]) == ("finished", "max_trials")
    assert study["progress"]["started"] == _LIMITS.max_trials
    assert server.read_errors() == []
    _check_that_it_was_hard(calls, snapshots, trials)


def _check_that_it_was_hard(
    calls: Sequence[Call], snapshots: Sequence[Snapshot], trials: Sequence[StoredTrial]
) -> None:
    codes = {call.code for call in calls}
    assert codes >= {
        "already-told",
        "invalid-request",
        "invalid-values",
        "lease-lost",
        "parallelism-reached",
        "study-finished",
        "trial-not-found",
        "trial-not-running",
    }
    assert {trial.state for trial in trials} == {"COMPLETE", "PRUNED", "FAIL"}
    assert {trial.attempt for trial in trials} == {1, 2}
    assert max(snapshot.live for snapshot in snapshots) == _LIMITS.parallelism


def _record_commits(database: Database) -> None:
    with psycopg.connect(database.plain_conninfo) as connection:
        connection.execute(_RECORD_COMMITS)


def _read_snapshots(database: Database) -> list[Snapshot]:
    with psycopg.connect(database.plain_conninfo, row_factory=class_row(Snapshot)) as connection:
        return connection.execute(_LIST_SNAPSHOTS).fetchall()


def _read_trials(database: Database) -> list[StoredTrial]:
    with psycopg.connect(database.plain_conninfo) as connection:
        rows = connection.execute(_LIST_TRIALS).fetchall()
    return [
        StoredTrial(number, state, attempt, phase, values, _read_points(points))
        for number, state, attempt, phase, values, points in rows
    ]


def _read_points(points: Sequence[tuple[str, str]]) -> dict[int, float | str]:
    return {int(step): "NaN" if value == "NAN" else float(value) for step, value in points}


# The judge: each promise is broken once, in a made-up journal.

_START = datetime(2026, 1, 31, tzinfo=UTC)
_SMALL = Limits(max_trials=1, parallelism=1, max_attempts=3)
_CALM = Snapshot(live=1, started=1, most_attempts=2, at_odds=0)
_ENDED = StoredTrial(0, "COMPLETE", attempt=2, phase="ended", values=[0.5], points={0: 0.1})


def _call(second: float, verb: str, **fields: Any) -> Call:
    """A call that was sent at `second` and answered half a second later."""
    sent_at = _START + timedelta(seconds=second)
    known: dict[str, Any] = {"number": 0, "body": {"attempt": 1}, "status": 200, "answer": {}}
    answered_at = sent_at + timedelta(seconds=0.5)
    return Call(verb=verb, sent_at=sent_at, answered_at=answered_at, **{**known, **fields})


def _ask(second: float, attempt: int, key: str) -> Call:
    trial = {"number": 0, "attempt": attempt, "lease_expires_at": _in_five_seconds(second)}
    return _call(second, "ask", number=None, body={}, key=key, answer={"trials": [trial]})


def _report(second: float, attempt: int, value: float) -> Call:
    answer = {"should_prune": False, "lease_expires_at": _in_five_seconds(second)}
    body = {"attempt": attempt, "step": 0, "value": value}
    return _call(second, "report", body=body, answer=answer)


def _in_five_seconds(second: float) -> str:
    return (_START + timedelta(seconds=second + 5)).isoformat()


def _tell(second: float, attempt: int, values: float) -> Call:
    body = {"attempt": attempt, "state": "COMPLETE", "values": values}
    return _call(second, "tell", body=body, answer={"phase": "ended"})


_GOOD = (
    _ask(0, 1, "a"),
    _report(1, 1, 0.9),
    _ask(10, 2, "b"),
    _ask(10, 2, "b"),
    _call(11, "report", status=409, answer={"code": "lease-lost"}),
    _report(12, 2, 0.1),
    _tell(13, 2, 0.5),
    _tell(14, 2, 0.5),
)


def test_judge_finds_nothing_in_a_good_run() -> None:
    assert find_breaches(_SMALL, _GOOD, [_CALM], [_ENDED]) == []


def test_judge_lets_a_lost_attempt_bring_what_the_newer_one_did_not() -> None:
    late = _tell(15.1, 1, 0.5)
    trial = replace(_ENDED, points={})
    assert find_breaches(_SMALL, [*_GOOD[:4], late], [_CALM], [trial]) == []


@pytest.mark.parametrize(
    ("call", "breach"),
    [
        pytest.param(_call(20, "prune", status=500), "was answered 500", id="failure"),
        pytest.param(
            _call(
                20,
                "heartbeat",
                body={},
                expected=frozenset({422}),
                answer={"lease_expires_at": None},
            ),
            "was answered 200",
            id="nonsense-accepted",
        ),
        pytest.param(_ask(20, 3, "b"), "got different trials", id="repeat-with-another-answer"),
        pytest.param(_ask(10, 2, "c"), "was given to ['b', 'c']", id="attempt-granted-twice"),
        pytest.param(
            _report(11, 1, 0.9), "though attempt 2 had been granted", id="report-of-a-lost-attempt"
        ),
        pytest.param(
            _tell(11, 1, 0.5), "though attempt 2 had been granted", id="result-of-a-lost-attempt"
        ),
        pytest.param(_report(9, 1, 0.9), "attempt 2 was granted before", id="lease-not-waited-for"),
        pytest.param(_tell(15, 2, 0.6), "was accepted with", id="two-results"),
        pytest.param(
            replace(_report(12, 2, 0.2), body={"attempt": 2, "step": 1, "value": 0.2}),
            "was accepted with",
            id="report-lost",
        ),
    ],
)
def test_judge_finds_what_was_answered_wrongly(call: Call, breach: str) -> None:
    (found,) = set(find_breaches(_SMALL, [*_GOOD, call], [_CALM], [_ENDED]))
    assert breach in found


@pytest.mark.parametrize(
    "snapshot",
    [
        pytest.param(replace(_CALM, live=2), id="parallelism"),
        pytest.param(replace(_CALM, started=2), id="max-trials"),
        pytest.param(replace(_CALM, most_attempts=4), id="max-attempts"),
        pytest.param(replace(_CALM, at_odds=1), id="at-odds-with-optuna"),
    ],
)
def test_judge_finds_what_was_there_for_a_moment(snapshot: Snapshot) -> None:
    (found,) = find_breaches(_SMALL, _GOOD, [_CALM, snapshot], [_ENDED])
    assert str(snapshot) in found


@pytest.mark.parametrize(
    "trials",
    [
        pytest.param([], id="none"),
        pytest.param([_ENDED, replace(_ENDED, number=1)], id="one-too-many"),
        pytest.param([replace(_ENDED, number=1)], id="gap"),
        pytest.param([replace(_ENDED, state="RUNNING", phase="expired")], id="never-ended"),
        pytest.param([replace(_ENDED, attempt=4)], id="too-many-attempts"),
        pytest.param([replace(_ENDED, values=[0.7])], id="another-value"),
        pytest.param([replace(_ENDED, state="FAIL", values=[])], id="another-state"),
        pytest.param([replace(_ENDED, points={0: 0.3})], id="another-report"),
        pytest.param([replace(_ENDED, points={})], id="no-report"),
    ],
)
def test_judge_finds_what_is_missing_in_the_end(trials: Sequence[StoredTrial]) -> None:
    assert find_breaches(_SMALL, _GOOD, [_CALM], trials) != []
