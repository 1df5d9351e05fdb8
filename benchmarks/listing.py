"""`GET /studies` against `optuna.get_all_study_summaries` on the same rows.

    python -m benchmarks.listing [--studies 1000] [--trials 1000]

The rows are made by SQL, as the service would have left them. Prints a Markdown table of medians.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import httpx
import optuna
import psycopg

from benchmarks.servers import Measured, open_measured
from service.storage.database import Database

_MAKE_STUDIES = """
INSERT INTO studies (study_name) SELECT 'listing-' || i FROM generate_series(1, %s) AS i
"""

_MAKE_DIRECTIONS = """
INSERT INTO study_directions (study_id, direction, objective) SELECT study_id, 'MINIMIZE', 0
FROM studies
"""

_MAKE_TRIALS = """
INSERT INTO trials (number, study_id, state, datetime_start, datetime_complete)
SELECT number - 1, study_id, 'COMPLETE', now(), now()
FROM studies CROSS JOIN generate_series(1, %s) AS number
"""

_MAKE_VALUES = """
INSERT INTO trial_values (trial_id, objective, value, value_type)
SELECT trial_id, 0, number, 'FINITE' FROM trials
"""

_MAKE_SUMMARIES = """
INSERT INTO asktell.studies (study_id, name, spec, state, complete, best_number, best_value,
                             created_at, last_activity_at)
SELECT study_id, study_name, json_build_object('objectives',
           json_build_array(json_build_object('name', 'value', 'direction', 'minimize'))),
       'active', %s, 0, 0, now(), now()
FROM studies
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--trials", type=int, default=1000)
    arguments = parser.parse_args()
    with open_measured() as measured:
        _fill(measured.database, arguments.studies, arguments.trials)
        _compare(measured, arguments.studies)


def _fill(database: Database, studies: int, trials: int) -> None:
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        connection.execute(_MAKE_STUDIES, (studies,))
        connection.execute(_MAKE_DIRECTIONS)
        connection.execute(_MAKE_TRIALS, (trials,))
        connection.execute(_MAKE_VALUES)
        connection.execute(_MAKE_SUMMARIES, (trials,))
        connection.execute("VACUUM ANALYZE")


def _compare(measured: Measured, studies: int) -> None:
    headers = {"Authorization": f"Bearer {measured.token}"}
    url = f"{measured.url}/studies"
    with httpx.Client(headers=headers, params={"limit": studies}, timeout=60) as http:
        first = http.get(url)
        first.raise_for_status()
        etag = {"If-None-Match": first.headers["ETag"]}
        listed = _median_ms(lambda: http.get(url), repeats=20)
        unchanged = _median_ms(lambda: http.get(url, headers=etag), repeats=20)
    storage = optuna.storages.RDBStorage(measured.database.sqlalchemy_url)
    summaries = _median_ms(lambda: optuna.get_all_study_summaries(storage), repeats=1)
    print("| what | ms | against Optuna |")
    print("| --- | --- | --- |")
    print(f"| `optuna.get_all_study_summaries` | {summaries:.0f} | 1 |")
    print(f"| `GET /studies`, 200 | {listed:.1f} | {summaries / listed:.0f}× |")
    print(f"| `GET /studies`, 304 | {unchanged:.1f} | {summaries / unchanged:.0f}× |")


def _median_ms(run: Callable[[], object], *, repeats: int) -> float:
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e3


if __name__ == "__main__":
    main()
