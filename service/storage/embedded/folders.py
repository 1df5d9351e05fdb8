"""Where things lie.

    DATA_DIR/postgres/      ours: `lock`, `password`, `postgres.log`, and for root `location`
    HOME/cluster            Postgres' own files, owned by the account that it runs as
    HOME/socket             the unix socket's folder, or a link to one with a shorter path

HOME is DATA_DIR/postgres itself. Only where root runs the service and Postgres' user cannot
traverse the parents of that folder is it a folder of its own below a system directory, whose
path `location` holds. The mode of a folder that was there before us is never changed.
"""

import fcntl
import hashlib
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from service.storage.embedded.account import Account, can_enter, choose_account, give
from service.storage.embedded.errors import EmbeddedPostgresError

# Linux allows 107 bytes for a socket's path, macOS 103; the name in it is `.s.PGSQL.5432.lock`.
_MAX_SOCKET_DIR_BYTES = 103 - len("/.s.PGSQL.5432.lock")


def make_service_dir(data_dir: Path) -> Path:
    """Make `data_dir` and our folder in it, unless they are there.

    As root they may be traversed by all users, so that Postgres' own user reaches its files; all
    that is secret in them has a mode of its own.
    """
    service_dir = data_dir.resolve() / "postgres"
    mode = 0o711 if os.geteuid() == 0 else 0o700
    service_dir.parent.parent.mkdir(parents=True, exist_ok=True)
    make_folder(service_dir.parent, mode)
    make_folder(service_dir, mode)
    return service_dir


@contextmanager
def hold_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder`; the kernel frees it however this process ends.

    Processes made by exec do not inherit it; a fork without exec shares it.

    Raises:
        EmbeddedPostgresError: Another process holds it.
    """
    with _open_lock_file(folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EmbeddedPostgresError(
                f"Another service (process {file.read().strip() or 'unknown'}) is using {folder}. "
                "Stop it, or start this one with another data directory."
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def find_recorded_home(service_dir: Path) -> Path | None:
    """Return the folder that holds the cluster if it is not `service_dir` itself.

    Raises:
        EmbeddedPostgresError: That folder is gone.
    """
    location = service_dir / "location"
    if not location.exists():
        return None
    home = Path(location.read_text().strip())
    if not home.is_dir():
        raise EmbeddedPostgresError(
            f"The data of {service_dir} was in {home}, and that folder is gone. Restore it, or "
            f"remove {location} to begin with an empty database."
        )
    return home


def open_home(service_dir: Path, system_dir: Path) -> tuple[Path, Account]:
    """Return the folder that holds the cluster, made if needed, and the account that owns it.

    Raises:
        EmbeddedPostgresError: The folder is gone, or the account cannot reach it.
    """
    home = find_recorded_home(service_dir) or service_dir
    account = choose_account(home / "cluster")
    if can_enter(account, home):
        return home, account
    if home != service_dir or (home / "cluster").exists():
        raise EmbeddedPostgresError(
            f"The user that runs Postgres (uid {account.uid}) cannot reach {home / 'cluster'}. "
            "Let that user traverse its parent folders again (chmod o+x), or start the service "
            "with another data directory."
        )
    home = _make_system_home(service_dir, system_dir)
    if not can_enter(account, home):
        raise EmbeddedPostgresError(
            f"The user that runs Postgres (uid {account.uid}) can reach neither {service_dir} nor "
            f"{system_dir}. Let it traverse one of them and its parent folders (chmod o+x)."
        )
    _record_home(service_dir, home)
    return home, account


def open_socket_dir(home: Path, account: Account) -> Path:
    """Return an empty folder that only `account` may enter, with a path short enough.

    The folder of an earlier start is used again; only one server at a time may run on `home`.
    """
    entry = home / "socket"
    if not _is_private_folder(entry.resolve(), account):
        _remove_entry(entry)
        _make_socket_dir(entry, account)
    socket_dir = entry.resolve()
    for leftover in socket_dir.iterdir():
        leftover.unlink()
    return socket_dir


def remove_socket_dir(home: Path) -> None:
    """Remove the socket's folder after the server has stopped."""
    shutil.rmtree((home / "socket").resolve(), ignore_errors=True)
    _remove_entry(home / "socket")


def make_folder(folder: Path, mode: int) -> None:
    """Make `folder` with exactly `mode`; one that exists is left as it is."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return
    folder.chmod(mode)


def write_durably(file: Path, text: str) -> None:
    """Write a 0600 file that after a crash is there completely or not at all."""
    descriptor, staging = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(descriptor)
    Path(staging).rename(file)
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Make what was renamed into `folder` survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open_lock_file(folder: Path) -> TextIO:
    try:
        return os.fdopen(os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600), "r+")
    except PermissionError:
        raise EmbeddedPostgresError(
            f"{folder} was made by another user. Start the service as that user, or with another "
            "data directory."
        ) from None


def _make_system_home(service_dir: Path, system_dir: Path) -> Path:
    """Make a new folder, never one that an earlier data directory of the same path left there."""
    digest = hashlib.sha256(os.fsencode(service_dir)).hexdigest()[:16]
    home = system_dir / "clusters" / f"{digest}-{secrets.token_hex(4)}"
    make_folder(system_dir, 0o755)
    for folder in (home.parent, home):
        make_folder(folder, 0o711)
    return home


def _record_home(service_dir: Path, home: Path) -> None:
    write_durably(service_dir / "location", f"{home}\n")


def _make_socket_dir(entry: Path, account: Account) -> None:
    if _is_good_socket_path(entry):
        make_folder(entry, 0o700)
    else:
        entry.symlink_to(_make_short_folder(account))
    give(account, entry.resolve())


def _make_short_folder(account: Account) -> Path:
    for parent in (Path(tempfile.gettempdir()).resolve(), Path("/tmp")):  # noqa: S108 (mkdtemp below)
        if _is_good_socket_path(parent / "asktell-12345678") and can_enter(account, parent):
            return Path(tempfile.mkdtemp(prefix="asktell-", dir=parent))
    raise EmbeddedPostgresError(
        "No folder for Postgres' socket: the path of the data directory and that of the temporary "
        "folder are too long or cannot be entered. Set TMPDIR to a folder with a short path."
    )


def _is_good_socket_path(folder: Path) -> bool:
    # Postgres and libpq both take a comma for the beginning of another folder.
    is_plain = not set(",\"'") & set(str(folder))
    return is_plain and len(os.fsencode(folder)) <= _MAX_SOCKET_DIR_BYTES


def _is_private_folder(folder: Path, account: Account) -> bool:
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    is_private = stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o700
    return is_private and found.st_uid == account.uid and _is_good_socket_path(folder)


def _remove_entry(entry: Path) -> None:
    if entry.is_symlink():
        entry.unlink()
    elif entry.exists():
        shutil.rmtree(entry)
