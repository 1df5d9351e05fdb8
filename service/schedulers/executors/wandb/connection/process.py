"""The process that calls W&B for a worker, and the only one that has `wandb.Api`.

    python -m service.schedulers.executors.wandb.connection.process

Standard input has one call a line, standard output one answer a line, both JSON with Python's NaN
and Infinity. The first line of the output says whether it is ready. It ends when its input does.
WANDB_DIR is a folder of its own, which is gone after it.

An operation is a function of a `wandb.Api` and of the call's arguments; what it returns is JSON. A
ValueError that it raises is a refusal, and its message is for people.
"""

import json
import os
import queue
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TextIO

from service.schedulers.executors.wandb.connection.errors import explain_error

Operations = Mapping[str, Callable[..., Any]]

_NO_WANDB = (
    "The package wandb is not installed where the worker runs. Install it: "
    "pip install 'asktell-server[wandb]'."
)


def main() -> NoReturn:
    """Answers calls until there are no more."""
    requests, answers = _take_streams()
    try:
        import wandb
    except ModuleNotFoundError:
        _write(answers, {"refused": _NO_WANDB})
        os._exit(1)
    operations = _load_operations()
    # What wandb prints from here on is for nobody.
    os.dup2(0, 2)
    caller = _Caller(operations, wandb.Api)
    threading.Thread(target=_end_with_core, args=(wandb.setup(), caller), daemon=True).start()
    _write(answers, {"ready": True})
    _serve(caller, requests, answers)
    # The worker does so too, if it is still there.
    shutil.rmtree(os.environ["WANDB_DIR"], ignore_errors=True)
    # At an ordinary exit wandb would wait for its service, which sees by itself that this is gone.
    os._exit(0)


def _take_streams() -> tuple[TextIO, TextIO]:
    """Keeps the streams away from libraries, which print, and ask for passwords."""
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    return requests, answers


def _load_operations() -> Operations:
    from service.schedulers.executors.wandb.queue import launch_operations
    from service.schedulers.executors.wandb.runs import run_operations
    from service.schedulers.executors.wandb.sweeps import sweep_operations

    modules = (run_operations, launch_operations, sweep_operations)
    return {name: function for module in modules for name, function in module.OPERATIONS.items()}


def _serve(caller: "_Caller", requests: TextIO, answers: TextIO) -> None:
    """Returns when there are no more calls; nobody waits for one that is under way."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_answer_all, args=(caller, lines, answers), daemon=True).start()
    for line in requests:
        lines.put(line)


def _answer_all(caller: "_Caller", lines: "queue.SimpleQueue[str]", answers: TextIO) -> None:
    try:
        while True:
            request = json.loads(lines.get())
            with caller.is_busy:
                _answer(caller, request, answers)
            if caller.is_useless:
                break
    finally:
        os._exit(1)


def _answer(caller: "_Caller", request: Mapping[str, Any], answers: TextIO) -> None:
    started_at = time.monotonic()
    kind, value = caller.call(request["operation"], request["arguments"])
    seconds = time.monotonic() - started_at
    _write(answers, {"id": request["id"], "kind": kind, "value": value, "seconds": seconds})


def _end_with_core(setup: Any, caller: "_Caller") -> None:
    """Ends this process once wandb-core is gone, so that no call is made that cannot succeed."""
    # Its process has no public name.
    setup.ensure_service()._proc.join()
    with caller.is_busy:
        os._exit(1)


def _write(stream: TextIO, document: Mapping[str, Any]) -> None:
    stream.write(json.dumps(document) + "\n")
    stream.flush()


class _Caller:
    """Does operations, with an Api that is made when one is needed.

    Attributes:
        is_busy: Held from a call to its answer.
        is_useless: The last call found wandb-core gone.
    """

    def __init__(self, operations: Operations, open_api: Callable[[], Any]) -> None:
        self._operations = operations
        self._open_api = open_api
        self._api: Any = None
        self.is_busy = threading.Lock()
        self.is_useless = False

    def call(self, operation: str, arguments: Mapping[str, Any]) -> tuple[str, Any]:
        """Returns the kind of the answer and what it says."""
        try:
            api = self._find_api()
            return "done", self._operations[operation](api, **arguments)
        except Exception as error:
            failure = explain_error(error)
        if failure.is_about_key:
            # By the next call a person may have logged in.
            self._api = None
        self.is_useless = failure.is_service_gone
        return failure.kind, self._redact(failure.message)

    def _find_api(self) -> Any:
        if self._api is None:
            self._api = self._open_api()
        # What it was told of runs before is of no interest.
        self._api.flush()
        return self._api

    def _redact(self, message: str) -> str:
        secret = self._api.api_key if self._api is not None else None
        return message.replace(secret, "…") if secret else message


if __name__ == "__main__":
    main()
