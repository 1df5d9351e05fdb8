"""Open the embedded Postgres of a data directory."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from service.storage.embedded.account import Account, can_execute
from service.storage.embedded.binaries import Binaries, copy_binaries, find_binaries
from service.storage.embedded.cluster import DATABASE, Cluster, open_cluster
from service.storage.embedded.errors import EmbeddedPostgresError
from service.storage.embedded.folders import (
    hold_lock,
    make_folder,
    make_service_dir,
    open_home,
    remove_socket_dir,
)
from service.storage.embedded.server import Server

_SYSTEM_DIR = Path("/var/lib/asktell")


@dataclass(frozen=True, slots=True)
class EmbeddedPostgres:
    """A server that runs until its context ends.

    Attributes:
        url: A superuser's, of a database that holds nothing at first. It holds the password and
            stays valid when the server is restarted within the context.
        cluster_dir: Postgres' own files.
        log_file: What the server said; never statements or values.
    """

    url: str = field(repr=False)
    cluster_dir: Path
    log_file: Path


@contextmanager
def open_embedded_postgres(
    data_dir: Path,
    *,
    settings: Mapping[str, str] | None = None,
    system_dir: Path = _SYSTEM_DIR,
) -> Iterator[EmbeddedPostgres]:
    """Run a Postgres of our own on `data_dir` for the length of the context.

    The files are made on first use. The server listens on a unix socket only, is restarted when
    it dies, and stops with the context; on Linux also with this process, however that ends.

    Args:
        settings: Server settings by name, over the defaults; `{"fsync": "off"}` is for tests.
        system_dir: Where root puts what Postgres' own user cannot reach otherwise.

    Raises:
        EmbeddedPostgresError: Another service uses `data_dir`, the programs are not installed,
            or Postgres cannot run on these files.
    """
    service_dir = make_service_dir(data_dir)
    with hold_lock(service_dir):
        home, account = open_home(service_dir, system_dir)
        # A data directory that was copied names the same home as the original.
        with nullcontext() if home == service_dir else hold_lock(home):
            binaries = choose_binaries(account, system_dir)
            given = settings or {}
            cluster = open_cluster(
                home,
                service_dir=service_dir,
                account=account,
                binaries=binaries,
                sync=given.get("fsync") != "off",
            )
            log_file = service_dir / "postgres.log"
            server = Server(cluster, binaries=binaries, log_file=log_file, settings=given)
            with _running(server, cluster):
                url = cluster.build_url(server.socket_dir, DATABASE)
                yield EmbeddedPostgres(url, cluster.folder, log_file)


def choose_binaries(account: Account, system_dir: Path) -> Binaries:
    """Return the installed programs, or a copy below `system_dir` if the account needs one.

    Raises:
        EmbeddedPostgresError: They are not installed, or it can reach neither.
    """
    binaries = find_binaries()
    if account.is_ourselves or _can_use(account, binaries):
        return binaries
    for folder in (system_dir, system_dir / "binaries"):
        make_folder(folder, 0o755)
    copy = copy_binaries(binaries, system_dir / "binaries")
    if not _can_use(account, copy):
        raise EmbeddedPostgresError(
            f"The user that runs Postgres (uid {account.uid}) can execute Postgres neither from "
            f"{binaries.install_dir} nor from {copy.install_dir}. Let it traverse one of them and "
            "its parent folders (chmod o+x)."
        )
    return copy


def _can_use(account: Account, binaries: Binaries) -> bool:
    return can_execute(account, binaries.initdb) and can_execute(account, binaries.postgres)


@contextmanager
def _running(server: Server, cluster: Cluster) -> Iterator[None]:
    try:
        server.start()
        _make_database(cluster.build_url(server.socket_dir, "postgres"))
        yield
    finally:
        server.stop()
        remove_socket_dir(cluster.folder.parent)


def _make_database(maintenance_url: str) -> None:
    with psycopg.connect(maintenance_url, autocommit=True) as connection:
        found = connection.execute(
            "SELECT FROM pg_database WHERE datname = %s", (DATABASE,)
        ).fetchone()
        if found is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
