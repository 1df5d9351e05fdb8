"""Logging: structured lines on standard error, each with the id of the request it belongs to."""

import logging
import sys
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any

import optuna
import structlog

current_request_id: ContextVar[str | None] = ContextVar("current_request_id", default=None)


def logs_requests() -> bool:
    """Whether anybody reads a line per request; asked first, as the line itself is not free."""
    return logging.getLogger().isEnabledFor(logging.DEBUG)


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
        _add_request_id,
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
    optuna.logging.disable_default_handler()
    optuna.logging.enable_propagation()
    _quieten_libraries(threshold)


def _add_request_id(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    request_id = current_request_id.get()
    if request_id is not None:
        event["request_id"] = request_id
    return event


def _build_renderers(style: str) -> list[structlog.typing.Processor]:
    if style == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]


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
