"""Who looks at the data of an embedded Postgres finds the one that runs."""

from pathlib import Path

import psycopg

from service.storage.embedded import find_running_postgres
from tests.integration.embedded_owner import open_in


def test_is_found_only_while_it_runs(used_folder: Path) -> None:
    data_dir = used_folder / "data"
    assert find_running_postgres(data_dir) is None
    with open_in(used_folder) as server:
        url = find_running_postgres(data_dir)
        assert url == server.url
        psycopg.connect(url).close()
    assert find_running_postgres(data_dir) is None


def test_looking_for_it_makes_nothing(open_folder: Path) -> None:
    assert find_running_postgres(open_folder / "data") is None
    assert list(open_folder.iterdir()) == []


def test_what_a_dead_one_left_is_not_taken_for_it(used_folder: Path) -> None:
    socket_dir = used_folder / "data" / "postgres" / "socket"
    socket_dir.mkdir(exist_ok=True)
    (socket_dir / ".s.PGSQL.5432").touch()
    assert find_running_postgres(used_folder / "data") is None
