"""The process that calls an outside system for a worker, from its own side.

Standard input has one call a line, standard output one answer a line, both JSON with Python's NaN
and Infinity. The first line of the output says whether it is ready. It ends when its input does.

An operation is a function of a handle, such as a client, and of the call's arguments; what it
returns is JSON.
"""

import json
import os
import queue
import threading
import time
from collections.abc import Mapping
from typing import Any, NoReturn, Protocol

from service.schedulers.executors.connection.failures import Failure


class Handle(Protocol):
    """Access to one outside system, within the process that has its package."""

    def call(self, operation: str, arguments: Mapping[str, Any], seconds: float) -> Any:
        """Does an operation, which has about so long."""

    def explain(self, error: Exception) -> Failure:
        """Tells what an operation's error means; none of its words may be a secret."""


class Streams:
    """The worker's end of the process; libraries print, and ask for passwords, elsewhere."""

    def __init__(self) -> None:
        self.requests = os.fdopen(os.dup(0), encoding="utf-8")
        self._answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)

    def refuse(self, reason: str) -> NoReturn:
        """Says that the process can never start, and ends it."""
        self.write({"refused": reason})
        os._exit(1)

    def say_ready(self) -> None:
        """Takes calls from now on; what is printed as an error is for nobody any more."""
        os.dup2(0, 2)
        self.write({"ready": True})

    def write(self, document: Mapping[str, Any]) -> None:
        self._answers.write(json.dumps(document) + "\n")
        self._answers.flush()


class Server:
    """Answers calls, one at a time.

    Attributes:
        is_busy: Held from a call to its answer.
    """

    def __init__(self, streams: Streams, handle: Handle) -> None:
        self._streams = streams
        self._handle = handle
        self.is_busy = threading.Lock()

    def serve(self) -> None:
        """Returns when there are no more calls; nobody waits for one that is under way."""
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._answer_all, args=(lines,), daemon=True).start()
        for line in self._streams.requests:
            lines.put(line)

    def _answer_all(self, lines: "queue.SimpleQueue[str]") -> None:
        is_useless = False
        try:
            while not is_useless:
                request = json.loads(lines.get())
                with self.is_busy:
                    is_useless = self._answer(request)
        finally:
            os._exit(1)

    def _answer(self, request: Mapping[str, Any]) -> bool:
        """Returns whether the process is of no use any more."""
        started_at = time.monotonic()
        kind, value, is_about_key, is_useless = "done", None, False, False
        try:
            value = self._handle.call(
                request["operation"], request["arguments"], request["seconds"]
            )
        except Exception as error:
            failure = self._handle.explain(error)
            kind, value = failure.kind, failure.message
            is_about_key, is_useless = failure.is_about_key, failure.is_process_useless
        answer = {
            "id": request["id"],
            "kind": kind,
            "value": value,
            "is_about_key": is_about_key,
            "seconds": time.monotonic() - started_at,
        }
        self._streams.write(answer)
        return is_useless
