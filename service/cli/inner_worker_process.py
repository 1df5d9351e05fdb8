"""The worker inside `asktell serve`, as a process of its own.

    python -m service.cli.inner_worker_process < pipe

The first line of standard input says as JSON what the server has decided, its token included, which
so is in neither the argument list nor the environment. The pipe stays open: when it ends, the
server is gone, however it died, and so is this process. What it runs goes on, and the next server's
worker takes it over.
"""

import json
import os
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

from asktell.workers import WorkerClient

from service.cli.failures import explain_failures
from service.cli.options import load_settings, load_worker_settings
from service.cli.worker_process import run_worker


def main() -> None:
    """Works until SIGTERM, or until the pipe on standard input ends."""
    decided = json.loads(sys.stdin.readline())
    threading.Thread(target=_exit_with_server, daemon=True).start()
    with explain_failures():
        load_settings()
        settings = load_worker_settings(
            slots=decided["slots"],
            allow_programs=decided["allow_programs"],
            # Whoever stops a server does not want to wait for its trials.
            drain_seconds=0,
        )
        with WorkerClient(decided["url"], decided["token"]) as client:
            run_worker(settings, client, workdir=Path(decided["workdir"]))


def _exit_with_server() -> None:
    _drain(sys.stdin)
    # Not sys.exit: nobody is left to be told anything, and what runs is to go on.
    os._exit(0)


def _drain(lines: Iterable[str]) -> None:
    for _ in lines:
        pass


if __name__ == "__main__":
    main()
