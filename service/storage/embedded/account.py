"""Which system user Postgres runs as: ourselves, or a dedicated one when we are root."""

import os
import pwd
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.storage.embedded import launcher
from service.storage.embedded.errors import EmbeddedPostgresError

SYSTEM_USER = "asktell-postgres"


@dataclass(frozen=True, slots=True)
class Account:
    """User and group id that own a cluster and run its server."""

    uid: int
    gid: int

    @property
    def is_ourselves(self) -> bool:
        return self.uid == os.geteuid()

    def build_command(self, *command: str) -> list[str]:
        """Return a command that runs `command` as this account and, on Linux, ends with us.

        With us means: with the thread that starts it.
        """
        identity = [str(os.getpid()), str(self.uid), str(self.gid)]
        return [sys.executable, "-I", "-S", launcher.__file__, *identity, *command]


def choose_account(cluster_dir: Path) -> Account:
    """Return the user to run the server of `cluster_dir` as, which need not exist yet.

    Postgres refuses to run as root, so root takes the cluster's owner, and for a new cluster the
    dedicated user, made when missing.

    Raises:
        EmbeddedPostgresError: The dedicated user does not exist and cannot be made.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    if cluster_dir.exists() and cluster_dir.stat().st_uid != 0:
        owner = cluster_dir.stat()
        return Account(owner.st_uid, owner.st_gid)
    return _find_system_account() or _make_system_account()


def can_enter(account: Account, folder: Path) -> bool:
    """Whether `account` may traverse `folder` and all its parents."""
    check = ["/bin/sh", "-c", '[ -x "$1" ]', "sh", str(folder)]
    return _succeeds(account, check)


def can_execute(account: Account, program: Path) -> bool:
    """Whether `account` may load `program` and its shared libraries."""
    return _succeeds(account, [str(program), "--version"])


def give(account: Account, path: Path) -> None:
    """Make `account` the owner of `path`, which we have just made."""
    if not account.is_ourselves:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def _find_system_account() -> Account | None:
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        return None
    return Account(entry.pw_uid, entry.pw_gid)


def _make_system_account() -> Account:
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    reason = _run_useradd(useradd) if useradd else "there is no useradd here"
    account = _find_system_account()
    if account is None:
        raise EmbeddedPostgresError(
            f"Postgres does not run as root, and the system user {SYSTEM_USER} could not be made "
            f"({reason}). Make that user, or start the service as an ordinary user, or set "
            "ASKTELL_DATABASE_URL to a Postgres of your own."
        )
    return account


def _run_useradd(useradd: str) -> str:
    options = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    made = subprocess.run(  # noqa: S603 (a fixed program, no shell)
        [useradd, *options, "--shell", "/usr/sbin/nologin", SYSTEM_USER],
        capture_output=True,
        text=True,
        check=False,
    )
    return made.stderr.strip()


def _succeeds(account: Account, command: list[str]) -> bool:
    try:
        result = subprocess.run(  # noqa: S603 (our own programs, no shell)
            command,
            cwd="/",
            env={"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            **({} if account.is_ourselves else _become(account)),
        )
    except OSError:
        return False
    return result.returncode == 0


def _become(account: Account) -> dict[str, Any]:
    return {"user": account.uid, "group": account.gid, "extra_groups": ()}
