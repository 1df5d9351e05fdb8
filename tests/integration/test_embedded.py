"""The embedded Postgres against real processes and signals."""

import os
import signal
import stat
import sys
from pathlib import Path

import psycopg
import pytest
import sqlalchemy

from service.storage.database import Database
from service.storage.embedded import (
    EmbeddedPostgresError,
    open_embedded_postgres,
)
from service.storage.embedded.log_file import trim_log
from tests.integration.embedded_owner import (
    DEADLINE_SECONDS,
    accepts,
    find_cluster_dir,
    find_socket_dir,
    give_like,
    is_connection_lost,
    is_replaced,
    kill_owner,
    list_postmasters,
    open_in,
    query,
    read_errors,
    read_notes,
    read_url,
    run_bystander,
    run_orphan,
    run_owner,
    wait_for,
    write_note,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")


def test_a_new_data_directory_gets_a_running_server(open_folder: Path) -> None:
    with open_in(open_folder) as server:
        assert query(server, "SELECT current_setting('server_version_num')::int / 10000") == 18
        assert query(server, "SELECT current_database()") == "asktell"
        for name, value in {
            "server_encoding": "UTF8",
            "data_checksums": "on",
            "listen_addresses": "",
            "synchronous_commit": "on",
            "TimeZone": "UTC",
        }.items():
            assert query(server, f"SHOW {name}") == value
        rules = query(server, "SELECT array_agg(DISTINCT auth_method) FROM pg_hba_file_rules")
        assert rules == ["scram-sha-256"]


def test_fsync_is_on_unless_a_caller_says_otherwise(used_folder: Path) -> None:
    with open_embedded_postgres(used_folder / "data", system_dir=used_folder / "system") as server:
        assert query(server, "SHOW fsync") == "on"


def test_the_url_serves_sqlalchemy(used_folder: Path) -> None:
    with open_in(used_folder) as server:
        engine = sqlalchemy.create_engine(Database(server.url).sqlalchemy_url)
        with engine.connect() as connection:
            assert connection.scalar(sqlalchemy.text("SELECT 1")) == 1
        engine.dispose()


def test_data_survive_a_restart_and_nothing_is_left_running(used_folder: Path) -> None:
    with open_in(used_folder) as server:
        write_note(server, "kept")
    assert list_postmasters(server.cluster_dir) == []
    with open_in(used_folder) as server:
        assert read_notes(server) == ["kept"]
        assert len(list_postmasters(server.cluster_dir)) == 1


def test_a_second_opener_is_refused_and_told_who_is_in_the_way(used_folder: Path) -> None:
    with open_in(used_folder) as server:
        with (
            pytest.raises(EmbeddedPostgresError, match=f"process {os.getpid()}.*another data"),
            open_in(used_folder),
        ):
            pass
        assert query(server, "SELECT 1") == 1


def test_of_two_services_that_start_at_once_exactly_one_wins(open_folder: Path) -> None:
    with run_owner(open_folder) as first, run_owner(open_folder) as second:
        wait_for(lambda: first.poll() is not None or second.poll() is not None)
        loser, winner = (first, second) if first.poll() is not None else (second, first)
        assert read_url(winner).startswith("postgresql://")
        assert winner.poll() is None
        assert loser.returncode == 1
        assert "EmbeddedPostgresError: Another service" in read_errors(loser)


def test_postgres_ends_with_a_killed_owner(used_folder: Path) -> None:
    with run_owner(used_folder) as owner:
        read_url(owner)
        cluster_dir = find_cluster_dir(used_folder)
        assert len(list_postmasters(cluster_dir)) == 1
        kill_owner(owner)
        wait_for(lambda: list_postmasters(cluster_dir) == [])


def test_data_survive_a_killed_owner(used_folder: Path) -> None:
    with run_owner(used_folder) as owner:
        connection = psycopg.connect(read_url(owner))
        connection.execute("CREATE TABLE notes (note text)")
        connection.execute("INSERT INTO notes VALUES ('committed')")
        connection.commit()
        connection.execute("INSERT INTO notes VALUES ('not committed')")
        kill_owner(owner)
        with open_in(used_folder) as server:
            assert read_notes(server) == ["committed"]
            assert len(list_postmasters(server.cluster_dir)) == 1
        connection.close()


def test_a_server_that_outlived_its_owner_is_replaced(used_folder: Path) -> None:
    with open_in(used_folder) as server:
        write_note(server, "kept")
    with run_orphan(used_folder, server.cluster_dir) as orphan:
        assert list_postmasters(server.cluster_dir) == [orphan.pid]
        with open_in(used_folder) as reopened:
            assert orphan.wait(DEADLINE_SECONDS) == 0
            assert read_notes(reopened) == ["kept"]
            assert len(list_postmasters(server.cluster_dir)) == 1


def test_stale_lock_files_with_the_pid_of_another_process_do_not_matter(used_folder: Path) -> None:
    with open_in(used_folder) as server:
        write_note(server, "kept")
        socket_dir = find_socket_dir(server)
        pid_lines = (server.cluster_dir / "postmaster.pid").read_text().splitlines()
    with run_bystander(server.cluster_dir) as bystander:
        stale = "\n".join([str(bystander.pid), *pid_lines[1:]]) + "\n"
        socket_dir.mkdir(mode=0o700)
        lock_files = (
            server.cluster_dir / "postmaster.pid",
            socket_dir / ".s.PGSQL.5432.lock",
        )
        for file in lock_files:
            file.write_text(stale)
            give_like(file, server.cluster_dir)
        give_like(socket_dir, server.cluster_dir)
        with open_in(used_folder) as reopened:
            assert read_notes(reopened) == ["kept"]
        assert bystander.poll() is None


def test_a_killed_postmaster_comes_back_by_itself(used_folder: Path) -> None:
    with open_in(used_folder) as server:
        write_note(server, "kept")
        for _ in range(2):
            (postmaster,) = list_postmasters(server.cluster_dir)
            os.kill(postmaster, signal.SIGKILL)
            wait_for(lambda before=postmaster: is_replaced(server, before))
            assert read_notes(server) == ["kept"]
    assert list_postmasters(server.cluster_dir) == []


def test_a_busy_backend_of_a_killed_postmaster_is_ended(used_folder: Path) -> None:
    with open_in(used_folder) as server, psycopg.connect(server.url) as busy:
        backend = busy.info.backend_pid
        (postmaster,) = list_postmasters(server.cluster_dir)
        # A stopped process notices nothing, like one in the middle of a long computation.
        os.kill(backend, signal.SIGSTOP)
        os.kill(postmaster, signal.SIGKILL)
        try:
            wait_for(lambda: is_replaced(server, postmaster))
            assert not Path(f"/proc/{backend}/exe").exists()
        finally:
            if Path(f"/proc/{backend}").exists():
                os.kill(backend, signal.SIGKILL)


def test_a_killed_backend_does_not_end_the_server(used_folder: Path) -> None:
    with open_in(used_folder) as server:
        write_note(server, "kept")
        with psycopg.connect(server.url) as connection:
            os.kill(connection.info.backend_pid, signal.SIGKILL)
            wait_for(lambda: is_connection_lost(connection))
        wait_for(lambda: accepts(server))
        assert read_notes(server) == ["kept"]


def test_closing_ends_a_server_that_clients_are_using(used_folder: Path) -> None:
    with open_in(used_folder) as server:
        connection = psycopg.connect(server.url)
    assert list_postmasters(server.cluster_dir) == []
    assert is_connection_lost(connection)
    connection.close()


def test_postgres_is_out_of_reach_of_the_terminals_signals(used_folder: Path) -> None:
    with open_in(used_folder) as server:
        (postmaster,) = list_postmasters(server.cluster_dir)
        assert os.getsid(postmaster) != os.getsid(0)
        assert os.getpgid(postmaster) != os.getpgid(0)


def test_only_the_owner_gets_in(used_folder: Path) -> None:
    with open_in(used_folder) as server:
        password_file = used_folder / "data" / "postgres" / "password"
        password = password_file.read_text()
        assert stat.S_IMODE(password_file.stat().st_mode) == 0o600
        assert stat.S_IMODE(server.cluster_dir.stat().st_mode) == 0o700
        assert stat.S_IMODE(find_socket_dir(server).stat().st_mode) == 0o700
        assert stat.S_IMODE(server.log_file.stat().st_mode) == 0o600
        assert password not in repr(server)
        for wrong in ("", "wrong"):
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(server.url.replace(password, wrong))


def test_the_log_holds_errors_but_no_statements_or_values(used_folder: Path) -> None:
    with open_in(used_folder) as server:
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE notes (note text PRIMARY KEY)")
            with pytest.raises(psycopg.errors.UniqueViolation):
                connection.execute("INSERT INTO notes VALUES ('tell-tale'), ('tell-tale')")
        text = server.log_file.read_text()
    assert "duplicate key" in text
    assert "tell-tale" not in text


def test_a_log_that_has_grown_too_large_is_moved_aside(tmp_path: Path) -> None:
    log_file = tmp_path / "postgres.log"
    with log_file.open("ab", buffering=0) as writer:
        writer.write(b"x" * 6_000_000)
        trim_log(log_file)
        writer.write(b"after")
        trim_log(log_file)
    assert log_file.read_bytes() == b"after"
    assert (tmp_path / "postgres.log.1").stat().st_size == 6_000_000


def test_an_interrupted_initdb_is_begun_anew(open_folder: Path) -> None:
    with run_owner(open_folder) as owner:
        wait_for(lambda: any(open_folder.glob("data/postgres/initdb-*/cluster/*")))
        kill_owner(owner)
    assert not (open_folder / "data/postgres/cluster").exists()
    with open_in(open_folder) as server:
        assert query(server, "SELECT 1") == 1
    assert {entry.name for entry in (open_folder / "data/postgres").iterdir()} == {
        "cluster",
        "lock",
        "password",
        "postgres.log",
    }
