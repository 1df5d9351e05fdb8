"""The embedded Postgres against real processes, signals and folder modes."""

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
import sqlalchemy

from service.storage.database import Database
from service.storage.embedded import (
    EmbeddedPostgres,
    EmbeddedPostgresError,
    open_embedded_postgres,
)
from service.storage.embedded.account import SYSTEM_USER, choose_account
from service.storage.embedded.binaries import copy_binaries, find_binaries
from service.storage.embedded.cluster import Cluster
from service.storage.embedded.log_file import trim_log

MakeFolder = Callable[[], AbstractContextManager[Path]]

IS_ROOT = os.geteuid() == 0
NOBODY = 65534
DEADLINE_SECONDS = 40.0

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")
needs_root = pytest.mark.skipif(not IS_ROOT, reason="needs root, to run things as other users")

# A service that lives until its input ends or a signal; prints the URL when it is ready.
OWNER = """
import sys
from pathlib import Path
from service.storage.embedded import open_embedded_postgres

data_dir, system_dir = map(Path, sys.argv[1:])
with open_embedded_postgres(data_dir, settings={"fsync": "off"}, system_dir=system_dir) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def prepared_data(make_open_folder: MakeFolder) -> Iterator[Path]:
    """A data directory that has been used once: initdb takes longer than all of a test."""
    with make_open_folder() as folder:
        with _open(folder):
            pass
        yield folder / "data"


@pytest.fixture
def used_folder(open_folder: Path, prepared_data: Path) -> Path:
    """An open folder with a copy of such a data directory in it."""
    subprocess.run(["cp", "-a", prepared_data, open_folder], check=True)
    return open_folder


def test_a_new_data_directory_gets_a_running_server(open_folder: Path) -> None:
    with _open(open_folder) as server:
        assert _query(server, "SELECT current_setting('server_version_num')::int / 10000") == 18
        assert _query(server, "SELECT current_database()") == "asktell"
        for name, value in {
            "server_encoding": "UTF8",
            "data_checksums": "on",
            "listen_addresses": "",
            "synchronous_commit": "on",
            "TimeZone": "UTC",
        }.items():
            assert _query(server, f"SHOW {name}") == value
        rules = _query(server, "SELECT array_agg(DISTINCT auth_method) FROM pg_hba_file_rules")
        assert rules == ["scram-sha-256"]


def test_fsync_is_on_unless_a_caller_says_otherwise(used_folder: Path) -> None:
    with open_embedded_postgres(used_folder / "data", system_dir=used_folder / "system") as server:
        assert _query(server, "SHOW fsync") == "on"


def test_the_url_serves_sqlalchemy(used_folder: Path) -> None:
    with _open(used_folder) as server:
        engine = sqlalchemy.create_engine(Database(server.url).sqlalchemy_url)
        with engine.connect() as connection:
            assert connection.scalar(sqlalchemy.text("SELECT 1")) == 1
        engine.dispose()


def test_data_survive_a_restart_and_nothing_is_left_running(used_folder: Path) -> None:
    with _open(used_folder) as server:
        _write(server, "kept")
    assert _list_postmasters(server.cluster_dir) == []
    with _open(used_folder) as server:
        assert _read(server) == ["kept"]
        assert len(_list_postmasters(server.cluster_dir)) == 1


def test_a_second_opener_is_refused_and_told_who_is_in_the_way(used_folder: Path) -> None:
    with _open(used_folder) as server:
        with (
            pytest.raises(EmbeddedPostgresError, match=f"process {os.getpid()}.*another data"),
            _open(used_folder),
        ):
            pass
        assert _query(server, "SELECT 1") == 1


def test_of_two_services_that_start_at_once_exactly_one_wins(open_folder: Path) -> None:
    with _own(open_folder) as first, _own(open_folder) as second:
        _wait_for(lambda: first.poll() is not None or second.poll() is not None)
        loser, winner = (first, second) if first.poll() is not None else (second, first)
        assert _read_url(winner).startswith("postgresql://")
        assert winner.poll() is None
        assert loser.returncode == 1
        assert "EmbeddedPostgresError: Another service" in _read_errors(loser)


def test_postgres_ends_with_a_killed_owner(used_folder: Path) -> None:
    with _own(used_folder) as owner:
        _read_url(owner)
        cluster_dir = _find_cluster_dir(used_folder)
        assert len(_list_postmasters(cluster_dir)) == 1
        _kill(owner)
        _wait_for(lambda: _list_postmasters(cluster_dir) == [])


def test_data_survive_a_killed_owner(used_folder: Path) -> None:
    with _own(used_folder) as owner:
        connection = psycopg.connect(_read_url(owner))
        connection.execute("CREATE TABLE notes (note text)")
        connection.execute("INSERT INTO notes VALUES ('committed')")
        connection.commit()
        connection.execute("INSERT INTO notes VALUES ('not committed')")
        _kill(owner)
        with _open(used_folder) as server:
            assert _read(server) == ["committed"]
            assert len(_list_postmasters(server.cluster_dir)) == 1
        connection.close()


def test_a_server_that_outlived_its_owner_is_replaced(used_folder: Path) -> None:
    with _open(used_folder) as server:
        _write(server, "kept")
    with _orphaned_server(server.cluster_dir) as orphan:
        assert _list_postmasters(server.cluster_dir) == [orphan.pid]
        with _open(used_folder) as reopened:
            assert orphan.wait(DEADLINE_SECONDS) == 0
            assert _read(reopened) == ["kept"]
            assert len(_list_postmasters(server.cluster_dir)) == 1


def test_stale_lock_files_with_the_pid_of_another_process_do_not_matter(used_folder: Path) -> None:
    with _open(used_folder) as server:
        _write(server, "kept")
        socket_dir = _find_socket_dir(server)
        pid_lines = (server.cluster_dir / "postmaster.pid").read_text().splitlines()
    with _bystander(server.cluster_dir) as bystander:
        stale = "\n".join([str(bystander.pid), *pid_lines[1:]]) + "\n"
        socket_dir.mkdir(mode=0o700)
        lock_files = (
            server.cluster_dir / "postmaster.pid",
            socket_dir / ".s.PGSQL.5432.lock",
        )
        for file in lock_files:
            file.write_text(stale)
            _give_like(file, server.cluster_dir)
        _give_like(socket_dir, server.cluster_dir)
        with _open(used_folder) as reopened:
            assert _read(reopened) == ["kept"]
        assert bystander.poll() is None


def test_a_killed_postmaster_comes_back_by_itself(used_folder: Path) -> None:
    with _open(used_folder) as server:
        _write(server, "kept")
        for _ in range(2):
            (postmaster,) = _list_postmasters(server.cluster_dir)
            os.kill(postmaster, signal.SIGKILL)
            _wait_for(lambda before=postmaster: _is_replaced(server, before))
            assert _read(server) == ["kept"]
    assert _list_postmasters(server.cluster_dir) == []


def test_a_busy_backend_of_a_killed_postmaster_is_ended(used_folder: Path) -> None:
    with _open(used_folder) as server, psycopg.connect(server.url) as busy:
        backend = busy.info.backend_pid
        (postmaster,) = _list_postmasters(server.cluster_dir)
        # A stopped process notices nothing, like one in the middle of a long computation.
        os.kill(backend, signal.SIGSTOP)
        os.kill(postmaster, signal.SIGKILL)
        try:
            _wait_for(lambda: _is_replaced(server, postmaster))
            assert not Path(f"/proc/{backend}/exe").exists()
        finally:
            if Path(f"/proc/{backend}").exists():
                os.kill(backend, signal.SIGKILL)


def test_a_killed_backend_does_not_end_the_server(used_folder: Path) -> None:
    with _open(used_folder) as server:
        _write(server, "kept")
        with psycopg.connect(server.url) as connection:
            os.kill(connection.info.backend_pid, signal.SIGKILL)
            _wait_for(lambda: _is_connection_lost(connection))
        _wait_for(lambda: _accepts(server))
        assert _read(server) == ["kept"]


def test_closing_ends_a_server_that_clients_are_using(used_folder: Path) -> None:
    with _open(used_folder) as server:
        connection = psycopg.connect(server.url)
    assert _list_postmasters(server.cluster_dir) == []
    assert _is_connection_lost(connection)
    connection.close()


def test_postgres_is_out_of_reach_of_the_terminals_signals(used_folder: Path) -> None:
    with _open(used_folder) as server:
        (postmaster,) = _list_postmasters(server.cluster_dir)
        assert os.getsid(postmaster) != os.getsid(0)
        assert os.getpgid(postmaster) != os.getpgid(0)


def test_only_the_owner_gets_in(used_folder: Path) -> None:
    with _open(used_folder) as server:
        password_file = used_folder / "data" / "postgres" / "password"
        password = password_file.read_text()
        assert stat.S_IMODE(password_file.stat().st_mode) == 0o600
        assert stat.S_IMODE(server.cluster_dir.stat().st_mode) == 0o700
        assert stat.S_IMODE(_find_socket_dir(server).stat().st_mode) == 0o700
        assert stat.S_IMODE(server.log_file.stat().st_mode) == 0o600
        assert password not in repr(server)
        for wrong in ("", "wrong"):
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(server.url.replace(password, wrong))


def test_the_log_holds_errors_but_no_statements_or_values(used_folder: Path) -> None:
    with _open(used_folder) as server:
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
    with _own(open_folder) as owner:
        _wait_for(lambda: any(open_folder.glob("data/postgres/initdb-*/cluster/*")))
        _kill(owner)
    assert not (open_folder / "data/postgres/cluster").exists()
    with _open(open_folder) as server:
        assert _query(server, "SELECT 1") == 1
    assert {entry.name for entry in (open_folder / "data/postgres").iterdir()} == {
        "cluster",
        "lock",
        "password",
        "postgres.log",
    }


def test_a_lost_password_file_is_named(used_folder: Path) -> None:
    with _open(used_folder):
        pass
    (used_folder / "data/postgres/password").unlink()
    with pytest.raises(EmbeddedPostgresError, match="password is gone"), _open(used_folder):
        pass


def test_a_wrong_password_file_is_named(used_folder: Path) -> None:
    with _open(used_folder) as server:
        pass
    (used_folder / "data/postgres/password").write_text("wrong")
    with pytest.raises(EmbeddedPostgresError, match="refuses the password"), _open(used_folder):
        pass
    assert _list_postmasters(server.cluster_dir) == []


def test_a_server_that_cannot_start_says_why(open_folder: Path) -> None:
    settings = {"shared_buffers": "nonsense"}
    with (
        pytest.raises(EmbeddedPostgresError, match="invalid value for parameter"),
        open_embedded_postgres(
            open_folder / "data", settings=settings, system_dir=open_folder / "system"
        ),
    ):
        pass


def test_a_cluster_of_another_postgres_version_is_refused(used_folder: Path) -> None:
    with _open(used_folder) as server:
        pass
    (server.cluster_dir / "PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedPostgresError, match="made by Postgres 16"), _open(used_folder):
        pass


@pytest.mark.parametrize("name", ["n" * 120, "with, comma", "with 'quotes' and ünïcode %20"])
def test_a_data_directory_may_have_any_name(open_folder: Path, name: str) -> None:
    (open_folder / name).mkdir(mode=0o711)
    for _ in range(2):
        with _open(open_folder / name) as server:
            socket_dir = _find_socket_dir(server)
            assert stat.S_IMODE(socket_dir.stat().st_mode) == 0o700
            assert len(bytes(socket_dir)) < 90
        assert not socket_dir.exists()


def test_a_moved_data_directory_keeps_its_data(used_folder: Path) -> None:
    with _open(used_folder) as server:
        _write(server, "kept")
    (used_folder / "after").mkdir(mode=0o711)
    (used_folder / "data").rename(used_folder / "after" / "data")
    with _open(used_folder / "after") as server:
        assert _read(server) == ["kept"]


def test_folders_that_were_there_keep_their_modes(open_folder: Path) -> None:
    modes = {"a": 0o751, "a/b": 0o755, "a/b/data": 0o777}
    for name, mode in modes.items():
        (open_folder / name).mkdir()
        (open_folder / name).chmod(mode)
    with _open(open_folder / "a/b"):
        pass
    found = {name: stat.S_IMODE((open_folder / name).stat().st_mode) for name in modes}
    assert found == modes
    assert stat.S_IMODE(open_folder.stat().st_mode) == 0o711


@needs_root
def test_root_keeps_out_of_a_folder_that_postgres_cannot_reach(open_folder: Path) -> None:
    private = open_folder / "private"
    private.mkdir(mode=0o700)
    system_dir = open_folder / "system"
    for notes in (["first"], ["first", "second"]):
        with open_embedded_postgres(private / "data", system_dir=system_dir) as server:
            _write(server, notes[-1])
            assert _read(server) == notes
            assert server.cluster_dir.is_relative_to(system_dir)
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert (private / "data/postgres/location").read_text().strip() in str(server.cluster_dir)
    assert not list((private / "data/postgres").glob("cluster"))


@needs_root
def test_a_copied_data_directory_does_not_share_a_running_cluster(open_folder: Path) -> None:
    for name in ("original", "copy"):
        (open_folder / name).mkdir(mode=0o700)
    system_dir = open_folder / "system"
    with open_embedded_postgres(open_folder / "original", system_dir=system_dir):
        copied = open_folder / "copy" / "postgres"
        copied.mkdir()
        for name in ("location", "password"):
            text = (open_folder / "original" / "postgres" / name).read_text()
            (copied / name).write_text(text)
        with (
            pytest.raises(EmbeddedPostgresError, match="Another service"),
            open_embedded_postgres(open_folder / "copy", system_dir=system_dir),
        ):
            pass


@needs_root
def test_a_system_folder_that_is_gone_is_named(open_folder: Path) -> None:
    private = open_folder / "private"
    private.mkdir(mode=0o700)
    with open_embedded_postgres(private, system_dir=open_folder / "system") as server:
        pass
    server.cluster_dir.parent.rename(open_folder / "elsewhere")
    with (
        pytest.raises(EmbeddedPostgresError, match="that folder is gone"),
        open_embedded_postgres(private, system_dir=open_folder / "system"),
    ):
        pass


@needs_root
def test_root_copies_programs_that_postgres_cannot_reach(
    used_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = used_folder / "private"
    private.mkdir(mode=0o700)
    unreachable = copy_binaries(find_binaries(), private)
    (unreachable.install_dir.parent / "__init__.py").write_text("raise ImportError('executed')")
    monkeypatch.syspath_prepend(unreachable.site_dir)
    assert find_binaries().site_dir == unreachable.site_dir
    with _open(used_folder) as server:
        (postmaster,) = _list_postmasters(server.cluster_dir)
        program = Path(f"/proc/{postmaster}/exe").resolve()
        assert program.is_relative_to(used_folder / "system" / "binaries")
        assert Path(f"/proc/{postmaster}").owner() == SYSTEM_USER
    assert stat.S_IMODE(private.stat().st_mode) == 0o700


@needs_root
def test_an_ordinary_user_keeps_everything_in_the_data_directory(open_folder: Path) -> None:
    python = _find_python_for(NOBODY)
    if python is None:
        pytest.skip("other users can reach neither this checkout nor a Python of its version")
    (open_folder / "data").mkdir(mode=0o700)
    os.chown(open_folder / "data", NOBODY, NOBODY)
    with _own(open_folder, python=python, uid=NOBODY) as owner:
        with psycopg.connect(_read_url(owner)) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        cluster_dir = open_folder / "data/postgres/cluster"
        (postmaster,) = _list_postmasters(cluster_dir)
        assert Path(f"/proc/{postmaster}").stat().st_uid == NOBODY
        _kill(owner)
        _wait_for(lambda: _list_postmasters(cluster_dir) == [])
    assert not (open_folder / "system").exists()
    owners = {path.lstat().st_uid for path in (open_folder / "data").rglob("*")}
    assert owners == {NOBODY}
    with _open(open_folder) as server:
        assert _query(server, "SELECT 1") == 1
        assert Path(server.cluster_dir).stat().st_uid == NOBODY


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(EmbeddedPostgresError, match=r"asktell-server\[embedded\].*DATABASE_URL"):
        find_binaries()


def test_programs_are_copied_whole_and_only_once(open_folder: Path) -> None:
    copies = []
    threads = [
        threading.Thread(target=lambda: copies.append(copy_binaries(find_binaries(), open_folder)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert copies[0] == copies[1]
    assert [entry.name for entry in open_folder.iterdir()] == [copies[0].package_version]
    said = subprocess.run([copies[0].initdb, "--version"], capture_output=True, check=True)
    assert b"initdb (PostgreSQL) 18" in said.stdout


def _open(folder: Path) -> AbstractContextManager[EmbeddedPostgres]:
    return open_embedded_postgres(
        folder / "data", settings={"fsync": "off"}, system_dir=folder / "system"
    )


@contextmanager
def _own(
    folder: Path, *, python: str = sys.executable, uid: int | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run a service in a process of its own; leaving ends it."""
    process = subprocess.Popen(
        [python, "-c", OWNER, str(folder / "data"), str(folder / "system")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **({} if uid is None else {"user": uid, "group": uid, "extra_groups": ()}),
    )
    with process:
        try:
            yield process
        finally:
            if process.stdin is not None and process.poll() is None:
                process.stdin.close()
                process.wait(DEADLINE_SECONDS)


def _kill(owner: subprocess.Popen[str]) -> None:
    owner.kill()
    owner.wait()


def _read_url(owner: subprocess.Popen[str]) -> str:
    assert owner.stdout is not None
    return owner.stdout.readline().strip()


def _read_errors(owner: subprocess.Popen[str]) -> str:
    assert owner.stderr is not None
    return owner.stderr.read()


@contextmanager
def _orphaned_server(cluster_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server as a service leaves it behind where the kernel does not end it."""
    account = choose_account(cluster_dir)
    name = Cluster(cluster_dir, account, "").name
    options = ["--listen_addresses=", f"--cluster_name={name}", f"-k{cluster_dir}"]
    process = subprocess.Popen(
        account.build_command(str(find_binaries().postgres), "-D", str(cluster_dir), *options),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(lambda: _is_ready(cluster_dir))
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def _bystander(cluster_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with Postgres, of the same user."""
    command = choose_account(cluster_dir).build_command("/bin/sleep", "600")
    process = subprocess.Popen(command)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _give_like(path: Path, model: Path) -> None:
    owner = model.stat()
    os.chown(path, owner.st_uid, owner.st_gid)


def _is_ready(cluster_dir: Path) -> bool:
    pid_file = cluster_dir / "postmaster.pid"
    return pid_file.exists() and "ready" in pid_file.read_text()


def _find_python_for(uid: int) -> str | None:
    """A Python of this version that another user can run with what is installed here."""
    system_python = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, system_python):
        with suppress(OSError, subprocess.CalledProcessError):
            subprocess.run(
                [python, "-c", "import service.storage.embedded"],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                stderr=subprocess.DEVNULL,
                check=True,
                user=uid,
                group=uid,
                extra_groups=(),
            )
            return python
    return None


def _find_cluster_dir(folder: Path) -> Path:
    (cluster_dir,) = folder.glob("data/postgres/cluster")
    return cluster_dir


def _find_socket_dir(server: EmbeddedPostgres) -> Path:
    return (server.cluster_dir.parent / "socket").resolve()


def _list_postmasters(cluster_dir: Path) -> list[int]:
    """Pids of the servers that work in `cluster_dir`, without their children."""
    pids = {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    at_work = {pid for pid in pids if _read_link(pid, "cwd") == cluster_dir}
    return [pid for pid in at_work if _read_parent(pid) not in (None, *at_work)]


def _read_link(pid: int, name: str) -> Path | None:
    try:
        return Path(f"/proc/{pid}/{name}").readlink()
    except OSError:
        return None


def _read_parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return None


def _is_replaced(server: EmbeddedPostgres, pid: int) -> bool:
    return _list_postmasters(server.cluster_dir) not in ([], [pid]) and _accepts(server)


def _accepts(server: EmbeddedPostgres) -> bool:
    try:
        return _query(server, "SELECT 1") == 1
    except psycopg.OperationalError:
        return False


def _is_connection_lost(connection: psycopg.Connection) -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


def _query(server: EmbeddedPostgres, statement: str) -> object:
    with psycopg.connect(server.url) as connection:
        row = connection.execute(statement).fetchone()
        assert row is not None
        return row[0]


def _write(server: EmbeddedPostgres, note: str) -> None:
    with psycopg.connect(server.url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS notes (note text)")
        connection.execute("INSERT INTO notes VALUES (%s)", (note,))


def _read(server: EmbeddedPostgres) -> list[str]:
    with psycopg.connect(server.url) as connection:
        return [note for (note,) in connection.execute("SELECT note FROM notes")]


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
