"""optuna-dashboard as a process of its own: reads the database, never writes it.

    python -m service.web.dashboard_process --socket PATH < pipe

The first line of standard input is the database's SQLAlchemy URL, so that the password is in
neither the argument list nor the environment. The pipe stays open: when it ends, the parent is
gone and so is this process, however the parent died.
"""

import argparse
import os
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import cast

import uvicorn
from a2wsgi import WSGIMiddleware
from optuna.storages import BaseStorage, RDBStorage, get_storage
from optuna.storages._rdb.models import TrialModel
from optuna.trial import FrozenTrial
from optuna_dashboard import wsgi
from sqlalchemy.exc import OperationalError
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp

from service.web.read_only import ReadOnly

_CONSTRAINTS_KEY = "constraints"
_THREADS = 4
# Jobs that ask come before people who look.
_NICENESS = 10


def main() -> None:
    """Serves until the pipe on standard input ends."""
    os.nice(_NICENESS)
    socket = _parse_socket()
    database_url = sys.stdin.readline().strip()
    threading.Thread(target=_exit_with_parent, args=(socket,), daemon=True).start()
    try:
        app = build_dashboard_app(database_url)
    except OperationalError:
        sys.exit("The dashboard cannot reach the database and will be started again.")
    uvicorn.run(app, uds=str(socket), log_config=None, access_log=False, lifespan="off")


def build_dashboard_app(database_url: str) -> ASGIApp:
    """optuna-dashboard over a database that has Optuna's tables already.

    Raises:
        sqlalchemy.exc.OperationalError: The database cannot be reached.
    """
    dashboard = WSGIMiddleware(wsgi(open_read_only_storage(database_url)), workers=_THREADS)
    return ReadOnly(GZipMiddleware(cast("ASGIApp", dashboard), compresslevel=1))


def open_read_only_storage(database_url: str) -> BaseStorage:
    """A cached storage whose every transaction is READ ONLY to Postgres.

    Cached because the dashboard reads all trials at each poll: uncached that is seconds of CPU
    per open tab at a few thousand trials.
    """
    engine_kwargs = {
        "execution_options": {"postgresql_readonly": True},
        "pool_pre_ping": True,
        "pool_size": _THREADS,
    }
    return get_storage(_ShownStorage(database_url, engine_kwargs, skip_table_creation=True))


class _ShownStorage(RDBStorage):
    """Trials as optuna-dashboard can show them.

    It answers constraints as they are, and no browser reads infinities: a page would stay empty.
    """

    def _build_frozen_trial_from_trial_model(self, trial: TrialModel) -> FrozenTrial:
        built = super()._build_frozen_trial_from_trial_model(trial)
        if (constraints := built.system_attrs.get(_CONSTRAINTS_KEY)) is not None:
            built.system_attrs[_CONSTRAINTS_KEY] = list(map(_to_finite, constraints))
        return built


def _to_finite(number: float) -> float:
    return max(-sys.float_info.max, min(number, sys.float_info.max))


def _parse_socket() -> Path:
    parser = argparse.ArgumentParser(prog="python -m service.web.dashboard_process")
    parser.add_argument("--socket", type=Path, required=True)
    socket: Path = parser.parse_args().socket
    return socket


def _exit_with_parent(socket: Path) -> None:
    _drain(sys.stdin)
    _remove(socket)
    # Not sys.exit: threads may be inside long reads, and a reader has nothing to save.
    os._exit(0)


def _remove(socket: Path) -> None:
    with suppress(OSError):
        socket.unlink(missing_ok=True)
        socket.parent.rmdir()


def _drain(lines: Iterable[str]) -> None:
    for _ in lines:
        pass


if __name__ == "__main__":
    main()
