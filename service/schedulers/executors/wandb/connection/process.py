"""The process that calls W&B for a worker, and the only one that has `wandb.Api`.

    python -m service.schedulers.executors.wandb.connection.process

See `connection.serving` for what it reads and writes. WANDB_DIR is a folder of its own, which is
gone after it. An operation is a function of a `wandb.Api`; a ValueError that it raises is a
refusal, and its message is for people.
"""

import os
import shutil
import threading
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from service.schedulers.executors.connection.failures import Failure
from service.schedulers.executors.connection.serving import Server, Streams
from service.schedulers.executors.wandb.connection.errors import explain_error

_NO_WANDB = (
    "The package wandb is not installed where the worker runs. Install it: "
    "pip install 'asktell-server[wandb]'."
)


def main() -> NoReturn:
    """Answers calls until there are no more."""
    streams = Streams()
    try:
        import wandb
    except ModuleNotFoundError:
        streams.refuse(_NO_WANDB)
    server = Server(streams, _WandbHandle(wandb.Api))
    threading.Thread(target=_end_with_core, args=(wandb.setup(), server), daemon=True).start()
    streams.say_ready()
    server.serve()
    # The worker does so too, if it is still there.
    shutil.rmtree(os.environ["WANDB_DIR"], ignore_errors=True)
    # At an ordinary exit wandb would wait for its service, which sees by itself that this is gone.
    os._exit(0)


def _end_with_core(setup: Any, server: Server) -> None:
    """Ends this process once wandb-core is gone, so that no call is made that cannot succeed."""
    # Its process has no public name.
    setup.ensure_service()._proc.join()
    with server.is_busy:
        os._exit(1)


def _load_operations() -> Mapping[str, Callable[..., Any]]:
    from service.schedulers.executors.wandb.queue import launch_operations
    from service.schedulers.executors.wandb.runs import run_operations
    from service.schedulers.executors.wandb.sweeps import sweep_operations

    modules = (run_operations, launch_operations, sweep_operations)
    return {name: function for module in modules for name, function in module.OPERATIONS.items()}


class _WandbHandle:
    """An Api that is made when one is needed, and anew after a login that failed."""

    def __init__(self, open_api: Callable[[], Any]) -> None:
        self._operations = _load_operations()
        self._open_api = open_api
        self._api: Any = None

    def call(self, operation: str, arguments: Mapping[str, Any], seconds: float) -> Any:  # noqa: ARG002 (wandb has its own)
        if self._api is None:
            self._api = self._open_api()
        # What it was told of runs before is of no interest.
        self._api.flush()
        return self._operations[operation](self._api, **arguments)

    def explain(self, error: Exception) -> Failure:
        failure = explain_error(error)
        secret = self._api.api_key if self._api is not None else None
        if failure.is_about_key:
            # By the next call a person may have logged in.
            self._api = None
        return failure.redact(secret)


if __name__ == "__main__":
    main()
