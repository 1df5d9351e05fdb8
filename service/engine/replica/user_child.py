"""A replica's process that runs a user's code: a session of the sandbox, as the server sees it."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self

from service.engine.replica.child import ChildGone
from service.engine.replica.messages import Call, Message
from service.sandbox import (
    ProcessKilled,
    Sandbox,
    SandboxUnavailable,
    Session,
    SweepFacts,
    UserFile,
)

PROGRAM = "service.engine.replica.user_program"
"""What the session has to run."""


class UserChild:
    """As `child.Child`; a file that fails ends it, too, and is no reason to start another.

    Raises:
        FileFailed: By `tell` and `ask`: the file hangs, has ended the process, or passes a limit.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    @classmethod
    def start(cls, sandbox: Sandbox, file: UserFile, sweep: SweepFacts) -> Self:
        """Starts one.

        Raises:
            FileFailed: The file does not load.
            ChildGone: The process was killed, or none could be started.
        """
        with _telling_gone():
            return cls(sandbox.open_session(file, PROGRAM, sweep=sweep))

    def tell(self, message: Message) -> None:
        with _telling_gone():
            self._session.tell(pickle.dumps(message, protocol=5))

    def ask(self, call: Call) -> dict[str, Any]:
        with _telling_gone():
            return self._session.ask(pickle.dumps(call, protocol=5))

    def kill(self) -> None:
        self._session.kill()

    def bury(self) -> None:
        # If it did not end by itself, the kernel has ended it together with its sandbox.
        with suppress(SandboxUnavailable):
            self._session.end()


@contextmanager
def _telling_gone() -> Iterator[None]:
    try:
        yield
    except ProcessKilled as error:
        raise ChildGone(error.reason, fault=error) from error
    except SandboxUnavailable as error:
        raise ChildGone(error.reason) from error
