"""The process of a replica, from its own side.

    python -m service.engine.replica.process DESCRIPTOR

The descriptor is a socket: pickled messages come in, one line of JSON goes out for each call. When
it ends the server is gone, or wants the process gone, and so it goes, whatever it is at.
"""

import json
import logging
import os
import pickle
import queue
import socket
import sys
import threading
from contextlib import suppress
from typing import Any

import optuna

from service.engine.replica.messages import Message
from service.engine.replica.serving import Served

# Whoever trains or reports comes first.
_NICENESS = 10


def main() -> None:
    """Serves until the socket ends."""
    os.nice(_NICENESS)
    optuna.logging.set_verbosity(logging.ERROR)
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        threading.Thread(target=_receive, args=(connection, messages), daemon=True).start()
        _serve(connection, messages)


def _receive(connection: socket.socket, messages: "queue.SimpleQueue[Message]") -> None:
    """Reads at once whatever comes, so that the server never waits with more to say."""
    with suppress(EOFError, OSError, pickle.UnpicklingError), connection.makefile("rb") as stream:
        while True:
            messages.put(pickle.load(stream))  # noqa: S301 - from the server, which is trusted
    os._exit(0)


def _serve(connection: socket.socket, messages: "queue.SimpleQueue[Message]") -> None:
    served = Served()
    while True:
        answer = served.take(messages.get())
        if answer is not None:
            connection.sendall(json.dumps(answer, default=_to_plain).encode() + b"\n")


def _to_plain(value: Any) -> Any:
    """A number of NumPy's as one of Python's."""
    return value.item()


if __name__ == "__main__":
    main()
