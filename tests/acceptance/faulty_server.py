"""The real server, made to die: `python -m tests.acceptance.faulty_server POINT AFTER [mutant]`.

Kills itself with SIGKILL at the commit point POINT ("before-commit", "after-commit" or "never"),
the AFTER-th time it gets there. As a mutant it answers before COMMIT. Settings by environment.
"""

import asyncio
import os
import signal
import sys
from functools import partial

from service.cli.server import run_server
from service.engine.committer import Committer, Ownership, Probe
from service.engine.engine import open_engine
from service.settings import Settings
from service.storage.journal import StudyWrite


class AnswersBeforeCommit(Committer):
    """The mistake that the tests must find."""

    def submit(self, owner: Ownership, write_: StudyWrite | None) -> asyncio.Future[None]:
        super().submit(owner, write_)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


def kill_at(point: str, after: int) -> Probe:
    """A probe that ends this process the `after`-th time the commit gets to `point`."""
    left = after

    def probe(reached: str) -> None:
        nonlocal left
        if reached == point:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return probe


if __name__ == "__main__":
    _point, _after = sys.argv[1], int(sys.argv[2])
    _committer = AnswersBeforeCommit if sys.argv[3:] == ["mutant"] else Committer
    run_server(
        Settings(),
        migrate=False,
        open_engine=partial(open_engine, probe=kill_at(_point, _after), committer_type=_committer),
    )
