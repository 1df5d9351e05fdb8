"""Postgres' own files: made once by initdb, with a password that nobody has to choose."""

import secrets
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from service.storage.embedded.account import Account, give
from service.storage.embedded.binaries import POSTGRES_MAJOR, Binaries
from service.storage.embedded.errors import EmbeddedPostgresError
from service.storage.embedded.folders import sync_folder, write_durably

DATABASE = "asktell"
_SUPERUSER = "asktell"
_STAGING_PREFIX = "initdb-"
_LEFTOVER_SECONDS = 10.0
_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Cluster:
    """An initialised cluster.

    Attributes:
        folder: Postgres' data directory.
        account: Owns the files and runs the server.
        password: Of the only database user, who is a superuser.
    """

    folder: Path
    account: Account
    password: str = field(repr=False)

    @property
    def name(self) -> str:
        """Shown in the title of every process of its server; unique to the folder."""
        return f"asktell-{sha256(bytes(self.folder)).hexdigest()[:16]}"

    def build_url(self, socket_dir: Path, database: str) -> str:
        """Return a URL for libpq and SQLAlchemy; it holds the password."""
        host = quote(str(socket_dir))
        return f"postgresql://{_SUPERUSER}:{self.password}@/{database}?host={host}"


def open_cluster(
    home: Path, *, service_dir: Path, account: Account, binaries: Binaries, sync: bool = True
) -> Cluster:
    """Return the cluster below `home`, made now if there is none.

    The caller holds the lock of `home`. An initdb that was interrupted leaves only a staging
    folder, which a later call removes.

    Args:
        sync: Whether a new cluster is flushed to the disk.

    Raises:
        EmbeddedPostgresError: initdb failed, or the existing cluster cannot be used.
    """
    for leftover in home.glob(f"{_STAGING_PREFIX}*"):
        _remove_leftover(leftover)
    folder = home / "cluster"
    password_file = service_dir / "password"
    if folder.exists():
        _check_version(folder)
        return Cluster(folder, account, _read_password(password_file, folder))
    cluster = Cluster(folder, account, secrets.token_urlsafe(32))
    write_durably(password_file, cluster.password)
    _initialise(cluster, binaries, sync=sync)
    return cluster


def _remove_leftover(staging: Path) -> None:
    """An initdb whose service was killed writes for a moment more, into what is removed here."""
    deadline = time.monotonic() + _LEFTOVER_SECONDS
    shutil.rmtree(staging, ignore_errors=True)
    while staging.exists() and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        shutil.rmtree(staging, ignore_errors=True)


def _check_version(folder: Path) -> None:
    major = (folder / "PG_VERSION").read_text().strip()
    if major != str(POSTGRES_MAJOR):
        raise EmbeddedPostgresError(
            f"{folder} was made by Postgres {major}, and this is Postgres {POSTGRES_MAJOR}. Dump "
            "it with the version of asktell-server that made it and restore the dump here."
        )


def _read_password(password_file: Path, folder: Path) -> str:
    try:
        return password_file.read_text().strip()
    except FileNotFoundError:
        raise EmbeddedPostgresError(
            f"{password_file} is gone, and with it the access to {folder}. Restore that file "
            "from a backup, or move the data directory away to begin with an empty database."
        ) from None


def _initialise(cluster: Cluster, binaries: Binaries, *, sync: bool) -> None:
    staging = Path(tempfile.mkdtemp(prefix=_STAGING_PREFIX, dir=cluster.folder.parent))
    try:
        give(cluster.account, staging)
        _run_initdb(cluster, binaries, staging, sync=sync)
        (staging / "cluster").rename(cluster.folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    sync_folder(cluster.folder.parent)


def _run_initdb(cluster: Cluster, binaries: Binaries, staging: Path, *, sync: bool) -> None:
    password_file = staging / "password"
    write_durably(password_file, cluster.password)
    give(cluster.account, password_file)
    command = [
        str(binaries.initdb),
        f"--pgdata={staging / 'cluster'}",
        f"--username={_SUPERUSER}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        # Postgres' own C.UTF-8 sorts the same on every system; libc's differ by version.
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--no-instructions",
    ]
    made = subprocess.run(  # noqa: S603 (our own program, no shell)
        cluster.account.build_command(*command, *([] if sync else ["--no-sync"])),
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        start_new_session=True,
    )
    if made.returncode != 0:
        raise EmbeddedPostgresError(
            f"Postgres could not make its files in {cluster.folder}. It said: "
            f"{made.stdout.strip()[-1000:]}"
        )
