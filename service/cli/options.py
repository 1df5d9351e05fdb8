"""Options that several commands have, and how they and the environment become settings."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from service.cli.failures import WrongUse

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from service.settings import Settings, WorkerSettings

_Settings = TypeVar("_Settings", "Settings", "WorkerSettings")

DataDirOption = Annotated[
    Path | None, typer.Option(help="Folder for token, address and embedded Postgres.")
]


def load_settings(**options: Any) -> "Settings":
    """Settings from the environment, overridden by the options that were given.

    Sets the process up by them: logging, and UTC as its time zone, for Optuna's tables hold
    naive times that mean UTC only in such a process.

    Raises:
        WrongUse: A setting is not usable; the message names it.
    """
    # These load Pydantic and Optuna, which commands that only talk to a server need not wait for.
    from service.observability import configure_logging
    from service.settings import Settings

    settings = _read(Settings, options)
    os.environ["TZ"] = "UTC"
    time.tzset()
    configure_logging(level=settings.log_level, style=settings.log_format)
    return settings


def load_worker_settings(**options: Any) -> "WorkerSettings":
    """Settings of a worker from the environment, overridden by the options that were given.

    Raises:
        WrongUse: A setting is not usable; the message names it.
    """
    from service.settings import WorkerSettings

    return _read(WorkerSettings, options)


def _read(kind: type[_Settings], options: dict[str, Any]) -> _Settings:
    from pydantic import ValidationError

    given = {name: value for name, value in options.items() if value is not None}
    prefix = kind.model_config["env_prefix"]
    try:
        return kind(**given)
    except ValidationError as error:
        reasons = [_explain(flaw, prefix) for flaw in error.errors()]
        raise WrongUse(f"Settings are not usable. {'. '.join(reasons)}.") from None


def _explain(flaw: "ErrorDetails", prefix: str) -> str:
    message = flaw["msg"].removeprefix("Value error, ")
    if flaw["type"] == "too_short" and not isinstance(flaw["input"], list | tuple):
        # Pydantic counts the items of a secret.
        message = f"It needs at least {flaw['ctx']['min_length']} characters"
    # What concerns several settings names them itself.
    return f"{prefix}{str(flaw['loc'][0]).upper()}: {message}" if flaw["loc"] else message
