"""Logging: structured lines on standard error, each with the request and the trial it is about."""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import optuna
import structlog

current_request_id: ContextVar[str | None] = ContextVar("current_request_id", default=None)
describe_current_request: ContextVar[Callable[[], Mapping[str, Any]] | None] = ContextVar(
    "describe_current_request", default=None
)
"""Finds what the request at hand is about; called by lines, so that others need not pay for it."""

_NOTHING: Mapping[str, Any] = {}
_LONGEST_STUDY_NAME = 80

_named: ContextVar[Mapping[str, Any]] = ContextVar("named", default=_NOTHING)


def logs_requests() -> bool:
    """Whether anybody reads a line per request; asked first, as the line itself is not free."""
    return logging.getLogger().isEnabledFor(logging.DEBUG)


@contextmanager
def log_context(
    *, study: str | None = None, trial: int | None = None, attempt: int | None = None
) -> Iterator[None]:
    """Puts these into every line written inside, beside what an enclosing context says.

    For work that no request asked for; lines of a request find their study, trial and attempt by
    themselves.
    """
    given = {"study": study, "trial": trial, "attempt": attempt}
    known = {name: value for name, value in given.items() if value is not None}
    reset = _named.set({**_named.get(), **known})
    try:
        yield
    finally:
        _named.reset(reset)


def configure_logging(*, level: str, style: str) -> None:
    """Send structlog's and the standard library's lines to standard error.

    Args:
        level: debug, info, warning or error.
        style: "console" for people, "json" for machines.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_context,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_build_renderers(style),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=threshold, force=True)
    logging.captureWarnings(capture=True)
    optuna.logging.disable_default_handler()
    optuna.logging.enable_propagation()
    _quieten_libraries(threshold)


def _add_context(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Adds what the line itself does not say."""
    request_id = current_request_id.get()
    if request_id is not None:
        event["request_id"] = request_id
    describe = describe_current_request.get()
    for name, value in {**(describe() if describe else _NOTHING), **_named.get()}.items():
        event.setdefault(name, value)
    study = event.get("study")
    if isinstance(study, str):
        event["study"] = study[:_LONGEST_STUDY_NAME]
    return event


def _build_renderers(style: str) -> list[structlog.typing.Processor]:
    if style == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    plain = structlog.dev.plain_traceback
    console = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
    return [_escape_controls, console]


def _escape_controls(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """A name that a client chose must not move the cursor of the terminal it is shown on."""
    for name, value in event.items():
        if name != "event" and isinstance(value, str) and not value.isprintable():
            event[name] = value.encode("unicode_escape").decode()
    return event


def _quieten_libraries(threshold: int) -> None:
    # At info they tell of every connection and request, with addresses and queries in full.
    for name in (
        "optuna",
        "httpx",
        "httpcore",
        "uvicorn.error",
        "asyncio",
        "psycopg.pool",
        "alembic",
    ):
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))
