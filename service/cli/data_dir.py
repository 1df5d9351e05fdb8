"""The files that a server keeps for the machine it runs on: its token and its address."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from service.cli.failures import CannotStart
from service.cli.new_files import open_new_file
from service.domain.tokens import mint_token

TOKEN_FILE = "token"  # noqa: S105  a file name
ADDRESS_FILE = "address"


def make_data_dir(folder: Path) -> None:
    """Make the folder for its owner alone; one that exists is left as it is."""
    # Under root, Postgres runs as a user of its own, who has to pass through to the cluster.
    mode = 0o711 if os.geteuid() == 0 else 0o700
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        raise CannotStart(
            f"The data directory {folder} cannot be made ({error.strerror}); choose another by "
            "--data-dir or ASKTELL_DATA_DIR."
        ) from error


@contextmanager
def hold_data_dir(folder: Path) -> Iterator[None]:
    """Keep other servers off the folder; the system lets go of it when this process ends.

    Raises:
        CannotStart: Another server is running on it, or it is somebody else's.
    """
    with _open_lock(folder) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotStart(
                f"Another server is running on the data directory {folder}. Stop it, or choose "
                "another by --data-dir or ASKTELL_DATA_DIR."
            ) from None
        yield


def _open_lock(folder: Path) -> IO[str]:
    try:
        return (folder / "server.lock").open("w")
    except OSError as error:
        raise CannotStart(
            f"The data directory {folder} cannot be used ({error.strerror}). Run as its owner, or "
            "choose another by --data-dir or ASKTELL_DATA_DIR."
        ) from error


def get_or_make_token(folder: Path) -> str:
    """The token of this data directory; made at the first start, readable by its owner alone."""
    token = find_token(folder)
    if token is None:
        with open_new_file(folder / TOKEN_FILE) as new:
            new.appear(mint_token())
        token = find_token(folder)
    if not token:
        raise CannotStart(f"The token file {folder / TOKEN_FILE} is empty; delete it.")
    return token


def find_token(folder: Path) -> str | None:
    """The token of this data directory, if a server has made one."""
    return _read(folder / TOKEN_FILE)


def find_address(folder: Path) -> str | None:
    """The URL of the server that runs on this data directory, if one does."""
    return _read(folder / ADDRESS_FILE)


@contextmanager
def publish_address(folder: Path, url: str) -> Iterator[None]:
    """Let other programs of this machine find the server, as long as it runs."""
    path = folder / ADDRESS_FILE
    with open_new_file(path) as new:
        new.replace(url)
    try:
        yield
    finally:
        if _read(path) == url:
            path.unlink(missing_ok=True)


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CannotStart(f"{path} cannot be read ({error.strerror}).") from error
