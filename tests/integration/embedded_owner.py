"""Services that own an embedded Postgres, and what tests look at from outside of them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import psycopg

from service.storage.embedded import (
    EmbeddedPostgres,
    open_embedded_postgres,
)
from service.storage.embedded.account import choose_account
from service.storage.embedded.cluster import Cluster
from service.storage.embedded.open import choose_binaries

DEADLINE_SECONDS = 40.0

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


def open_in(folder: Path) -> AbstractContextManager[EmbeddedPostgres]:
    return open_embedded_postgres(
        folder / "data", settings={"fsync": "off"}, system_dir=folder / "system"
    )


@contextmanager
def run_owner(
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


def kill_owner(owner: subprocess.Popen[str]) -> None:
    owner.kill()
    owner.wait()


def read_url(owner: subprocess.Popen[str]) -> str:
    assert owner.stdout is not None
    return owner.stdout.readline().strip()


def read_errors(owner: subprocess.Popen[str]) -> str:
    assert owner.stderr is not None
    return owner.stderr.read()


@contextmanager
def run_orphan(folder: Path, cluster_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server as a service leaves it behind where the kernel does not end it."""
    account = choose_account(cluster_dir)
    name = Cluster(cluster_dir, account, "").name
    options = ["--listen_addresses=", f"--cluster_name={name}", f"-k{cluster_dir}"]
    postgres = choose_binaries(account, folder / "system").postgres
    process = subprocess.Popen(
        account.build_command(str(postgres), "-D", str(cluster_dir), *options),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: _is_ready(cluster_dir))
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def run_bystander(cluster_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with Postgres, of the same user."""
    command = choose_account(cluster_dir).build_command("/bin/sleep", "600")
    process = subprocess.Popen(command)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def give_like(path: Path, model: Path) -> None:
    owner = model.stat()
    os.chown(path, owner.st_uid, owner.st_gid)


def _is_ready(cluster_dir: Path) -> bool:
    pid_file = cluster_dir / "postmaster.pid"
    return pid_file.exists() and "ready" in pid_file.read_text()


def find_python_for(uid: int) -> str | None:
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


def find_cluster_dir(folder: Path) -> Path:
    (cluster_dir,) = folder.glob("data/postgres/cluster")
    return cluster_dir


def find_socket_dir(server: EmbeddedPostgres) -> Path:
    return (server.cluster_dir.parent / "socket").resolve()


def list_postmasters(cluster_dir: Path) -> list[int]:
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


def is_replaced(server: EmbeddedPostgres, pid: int) -> bool:
    return list_postmasters(server.cluster_dir) not in ([], [pid]) and accepts(server)


def accepts(server: EmbeddedPostgres) -> bool:
    try:
        return query(server, "SELECT 1") == 1
    except psycopg.OperationalError:
        return False


def is_connection_lost(connection: psycopg.Connection) -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


def query(server: EmbeddedPostgres, statement: str) -> object:
    with psycopg.connect(server.url) as connection:
        row = connection.execute(statement).fetchone()
        assert row is not None
        return row[0]


def write_note(server: EmbeddedPostgres, note: str) -> None:
    with psycopg.connect(server.url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS notes (note text)")
        connection.execute("INSERT INTO notes VALUES (%s)", (note,))


def read_notes(server: EmbeddedPostgres) -> list[str]:
    with psycopg.connect(server.url) as connection:
        return [note for (note,) in connection.execute("SELECT note FROM notes")]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
