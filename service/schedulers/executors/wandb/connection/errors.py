"""What errors of the wandb SDK mean: whether W&B is away, or refuses.

Measured with wandb 0.31: wandb-core's errors come as a `WandbApiFailedError`, wrapped once or
twice. Its status is 0 where core has given up after retries, and also for errors that GraphQL
answers; these begin with "input:". It has no response at all where core itself was silent.
"""

import os
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from service.schedulers.executors.connection.failures import Failure
from service.schedulers.executors.connection.redaction import redact
from service.schedulers.executors.wandb.connection.system import list_secrets

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_PASSING_STATUSES = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
)
# Of what core says after its retries, without a status.
_TOO_MANY = re.compile(r"HTTP 429\b|(?<![\w/-])rate limit(ed|s)?(?![\w/-])", re.IGNORECASE)
# W&B answers some of its own troubles like this, with status 200.
_PASSING_WORDS = re.compile(
    # Not in a name, such as that of a queue or a job.
    r"(?<![\w/-])(internal (server )?error|timed? ?out|deadline exceeded|temporar(y|ily)|try again"
    r"|rate limit(ed|s)?)(?![\w/-])",
    re.IGNORECASE,
)
_GRAPHQL = "input:"
_RETRIED = "while retrying: "
_SERVICE_GONE = "the service process is not running"
_SETTINGS = "Settings"
_NO_KEY = "No API key configured"
_NO_RIGHT = "permission denied"
_LOG_IN = "Run `wandb login` as the worker's user, or set WANDB_API_KEY for it."


def explain_error(error: Exception) -> Failure:
    """Reads an error of the SDK, of the HTTP clients below it, or of an operation's own."""
    causes = list(_list_causes(error))
    message = _tidy(_describe(causes[-1]))
    is_away = next((said for each in causes if (said := _is_away(each)) is not None), False)
    if is_away and any(map(_is_from_httpx, causes)):
        return Failure("undone", message)
    if is_away and any(map(_is_throttled, causes)):
        return Failure("throttled", message)
    if is_away:
        return Failure("away", message, is_process_useless=_SERVICE_GONE in str(causes[-1]))
    if _is_about_login(causes):
        advice = _say_where_keys_are() if _NO_KEY in message else _LOG_IN
        advised = f"{message.rstrip('.')}. {advice}"
        return Failure("refused", advised, is_about_key=True)
    return Failure("refused", message, is_about_key=any(map(_is_about_rights, causes)))


def _say_where_keys_are() -> str:
    """Other programs leave the port out of the names of machines, which wandb does not."""
    import wandb

    host = urlsplit(wandb.setup().settings.base_url).netloc.rpartition("@")[2]
    file = os.environ.get("NETRC") or "~/.netrc"
    return f"There is none in WANDB_API_KEY, and none for `machine {host}` in {file}."


def explain_settings(error: Exception) -> str:
    """Says what wandb does not accept when it is to read its settings, for whoever made them."""
    problem = _tidy(_describe(error)).rstrip(".")
    return (
        f"wandb does not accept its settings: {problem}. Correct them in the worker's environment, "
        "or in wandb's own file of settings, and restart the worker."
    )


def _describe(error: BaseException) -> str:
    from pydantic import ValidationError

    if isinstance(error, ValidationError) and error.title == _SETTINGS:
        return "; ".join(map(_describe_setting, error.errors(include_url=False)))
    return str(error) or type(error).__name__


def _describe_setting(problem: "ErrorDetails") -> str:
    """What was set may have a password in it, and the message may quote it."""
    name = ".".join(map(str, problem["loc"]))
    secrets = list_secrets(None, str(problem["input"]))
    message = redact(problem["msg"].removeprefix("Value error, "), secrets)
    return f"{name} (WANDB_{name.upper()}): {message.rstrip('.')}"


def _list_causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        wrapped = getattr(seen, "exc", None)
        seen = seen.__cause__ or (wrapped if isinstance(wrapped, BaseException) else None)


def _is_away(error: BaseException) -> bool | None:
    """None if this error alone does not tell."""
    status = _find_status(error)
    if status:
        return status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _PASSING_STATUSES
    if _is_from_core(error):
        text = str(error)
        return not text.startswith(_GRAPHQL) or _PASSING_WORDS.search(text) is not None
    return True if _is_transport(error) else None


def _is_throttled(error: BaseException) -> bool:
    if status := _find_status(error):
        return status == HTTPStatus.TOO_MANY_REQUESTS
    return _is_from_core(error) and _TOO_MANY.search(_tidy(str(error))) is not None


def _find_status(error: BaseException) -> int:
    """Of core's errors, and of those of requests and httpx; 0 without one."""
    response: Any = getattr(error, "response", None)
    return getattr(response, "http_status", 0) or getattr(response, "status_code", 0)


def _is_from_core(error: BaseException) -> bool:
    from wandb.sdk.lib.service.service_connection import WandbApiFailedError

    return isinstance(error, WandbApiFailedError)


def _is_from_httpx(error: BaseException) -> bool:
    """What it is used for is no part of W&B's API, which answered just before."""
    import httpx

    return isinstance(error, httpx.HTTPError)


def _is_transport(error: BaseException) -> bool:
    return isinstance(error, OSError) or _is_from_httpx(error)


def _is_about_login(causes: list[BaseException]) -> bool:
    from wandb.errors import AuthenticationError

    if any(isinstance(each, AuthenticationError) or _NO_KEY in str(each) for each in causes):
        return True
    return any(_find_status(each) == HTTPStatus.UNAUTHORIZED for each in causes)


def _is_about_rights(error: BaseException) -> bool:
    """W&B knows the key; another one may do more."""
    return _find_status(error) == HTTPStatus.FORBIDDEN or _NO_RIGHT in str(error).lower()


def _tidy(text: str) -> str:
    """Leaves out what core tells of its attempts where it also tells why they failed."""
    text = text.rpartition(_RETRIED)[2].removeprefix(_GRAPHQL).strip()
    return " ".join(text.split())
