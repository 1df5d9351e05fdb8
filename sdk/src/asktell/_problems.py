"""Problems (RFC 9457) as errors; the one place where an HTTP status becomes a class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx

from asktell._errors import (
    ApiError,
    AuthenticationError,
    ConflictError,
    FieldProblem,
    InvalidError,
    LeaseLostError,
    NoBestTrialError,
    NotFoundError,
    StudyPausedError,
    TooManyRequestsError,
    UnavailableError,
)
from asktell._retries import read_seconds

_CLASS_BY_STATUS: dict[int, type[ApiError]] = {
    400: InvalidError,
    401: AuthenticationError,
    403: AuthenticationError,
    404: NotFoundError,
    409: ConflictError,
    413: InvalidError,
    415: InvalidError,
    422: InvalidError,
    429: TooManyRequestsError,
    502: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
}
_CLASS_BY_CODE: dict[tuple[int, str], type[ApiError]] = {
    (404, "no-best-trial"): NoBestTrialError,
    (409, "lease-lost"): LeaseLostError,
    (409, "study-paused"): StudyPausedError,
}


def read_problem(response: httpx.Response) -> ApiError:
    """The error for an answer that is no success, whoever wrote it: a proxy may have."""
    problem = _read_object(response)
    status = response.status_code
    code = _text(problem, "code") or f"http-{status}"
    return _find_class(status, code)(
        _text(problem, "detail") or _text(problem, "title") or _describe_stranger(response),
        code=code,
        status=status,
        request_id=_text(problem, "request_id") or response.headers.get("X-Request-Id"),
        errors=list(_read_fields(problem.get("errors"))),
        retry_after_seconds=read_seconds(response.headers.get("Retry-After", "")),
    )


def _find_class(status: int, code: str) -> type[ApiError]:
    return _CLASS_BY_CODE.get((status, code)) or _CLASS_BY_STATUS.get(status, ApiError)


def _read_object(response: httpx.Response) -> dict[str, Any]:
    try:
        document = response.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _read_fields(items: Any) -> Iterator[FieldProblem]:
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and "field" in item and "message" in item:
            yield FieldProblem(str(item["field"]), str(item["message"]))


def _text(problem: dict[str, Any], key: str) -> str | None:
    value = problem.get(key)
    return value if isinstance(value, str) else None


def _describe_stranger(response: httpx.Response) -> str:
    return (
        f"{response.request.url.host} answered {response.status_code} {response.reason_phrase}, "
        "which is not an answer of Asktell. Is ASKTELL_URL right?"
    )
