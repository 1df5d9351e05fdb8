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
from service.schedulers.executors.wandb.connection.errors import (
    explain_error,
    explain_settings,
)
from service.schedulers.executors.wandb.connection.system import list_secrets

_NO_WANDB = (
    "The package wandb is not installed where the worker runs. Install it: "
    "pip install 'asktell-server[wandb]'."
)


def main() -> NoReturn:
    """Answers calls until there are no more."""
    streams = Streams()
    try:
        import wandb
    except ImportError as error:
        streams.refuse(_explain_import(error))
    try:
        setup = wandb.setup()
    except OSError:
        # Of this machine; it may pass.
        raise
    except Exception as error:
        streams.refuse(explain_settings(error))
    server = Server(streams, _WandbHandle(wandb.Api))
    threading.Thread(target=_end_with_core, args=(setup, server), daemon=True).start()
    streams.say_ready()
    server.serve()
    # The worker does so too, if it is still there.
    shutil.rmtree(os.environ["WANDB_DIR"], ignore_errors=True)
    # At an ordinary exit wandb would wait for its service, which sees by itself that this is gone.
    os._exit(0)


def _explain_import(error: ImportError) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name == "wandb":
        return _NO_WANDB
    return f"The package wandb, where the worker runs, cannot be imported: {error}."


def _end_with_core(setup: Any, server: Server) -> None:
    """Ends this process once wandb-core is gone, so that no call is made that cannot succeed."""
    # Its process has no public name.
    setup.ensure_service()._proc.join()
    with server.is_busy:
        os._exit(1)


def _load_operations() -> Mapping[str, Callable[..., Any]]:
    from service.schedulers.executors.wandb.agents import agent_operations
    from service.schedulers.executors.wandb.artifacts import artifact_operations
    from service.schedulers.executors.wandb.queue import launch_operations
    from service.schedulers.executors.wandb.runs import run_operations
    from service.schedulers.executors.wandb.sweeps import sweep_operations

    modules = (
        *(run_operations, launch_operations, agent_operations, sweep_operations),
        artifact_operations,
    )
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
        redacted = failure.redact(self._list_secrets())
        if failure.is_about_key:
            # By the next call a person may have logged in.
            self._api = None
        return redacted

    def _list_secrets(self) -> tuple[str, ...]:
        """The worker does not know those that are in files of wandb's."""
        if self._api is None:
            return ()
        return list_secrets(self._api.api_key, self._api.settings["base_url"])


if __name__ == "__main__":
    main()
