"""The one place where errors become HTTP: RFC 9457 `application/problem+json`."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import HTTPException, RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException

from service.domain.errors import (
    AsktellError,
    Conflict,
    FieldError,
    Invalid,
    NotFound,
    TooMany,
    Unavailable,
)
from service.metrics import count_problem
from service.observability import current_request_id

PROBLEM_MEDIA_TYPE = "application/problem+json"

_log = structlog.get_logger(__name__)

_STATUS_BY_KIND: Mapping[type[AsktellError], int] = {
    NotFound: 404,
    Conflict: 409,
    Invalid: 422,
    TooMany: 429,
    Unavailable: 503,
}
# Problems that arise before an endpoint is reached, besides those of service.domain.errors.
EDGE_PROBLEMS: Mapping[str, tuple[int, str]] = {
    "malformed-json": (400, "The body is not JSON as RFC 8259 has it."),
    "not-authenticated": (
        401,
        "The request carries neither a good token nor a good session.",
    ),
    "origin-not-allowed": (403, "A web page of another host sent the request."),
    "csrf-token-wrong": (403, "A browser's write lacks the token of its session."),
    "scope-missing": (403, "The token is good, but not for this; the detail says which one is."),
    "not-own-attempt": (403, "The call names another attempt than that of its token."),
    "attempt-token-over": (403, "The attempt of the token ended more than a lease time ago."),
    "not-found": (404, "Nothing is served at this address."),
    "login-link-refused": (404, "The login link was used before or is too old."),
    "method-not-allowed": (405, "The address does not know the method; see the Allow header."),
    "body-too-large": (413, "The body is larger than ASKTELL_BODY_LIMIT_BYTES."),
    "unsupported-media-type": (415, "The body is not declared as JSON."),
    "host-not-allowed": (421, "The Host header names no host of ASKTELL_ALLOWED_HOSTS."),
    "internal-error": (500, "A defect of the server; its log has the details."),
}
NOT_FOUND = "There is nothing at this address; /docs lists what there is."
METHOD_NOT_ALLOWED = "This address does not know this method; see the Allow header."
_ROUTER_PROBLEMS = {
    404: ("not-found", NOT_FOUND),
    405: ("method-not-allowed", METHOD_NOT_ALLOWED),
}


class RequestRefused(HTTPException):
    """A request that no endpoint gets to see, with its HTTP status and a stable code."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(status, detail)
        self.code = code


def build_problem(
    status: int,
    code: str,
    detail: str,
    *,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem as a ready response, with the id of the request being handled."""
    count_problem(status, code)
    document: dict[str, Any] = {
        "type": f"/docs/problems#{code}",
        "title": code.replace("-", " ").capitalize(),
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": current_request_id.get(),
    }
    if errors:
        document["errors"] = [{"field": e.field, "message": e.message} for e in errors]
    return Response(orjson.dumps(document), status, headers=headers, media_type=PROBLEM_MEDIA_TYPE)


def build_internal_problem() -> Response:
    """What a client learns of a defect of ours: where to look for it, and nothing else."""
    detail = "The server failed on this request; its log has the details under this request id."
    return build_problem(500, "internal-error", detail)


def install_problem_handlers(app: FastAPI) -> None:
    """Make every error that leaves an endpoint or the router a problem."""
    app.add_exception_handler(AsktellError, _render_domain_error)
    app.add_exception_handler(RequestValidationError, _render_validation_error)
    app.add_exception_handler(StarletteHTTPException, _render_http_error)
    app.add_exception_handler(Exception, _render_unexpected_error)


def find_status(error: type[AsktellError]) -> int:
    """The HTTP status of a kind of domain error."""
    return next((code for kind, code in _STATUS_BY_KIND.items() if issubclass(error, kind)), 500)


def describe_error(error: AsktellError) -> Response:
    """A domain error as a problem."""
    status = find_status(type(error))
    if status == 500:
        _log.error("request.failed", code=error.code, exc_info=error)
    headers = None
    if isinstance(error, (TooMany, Unavailable)):
        headers = {"Retry-After": str(error.retry_after_seconds)}
    return build_problem(status, error.code, error.message, errors=error.errors, headers=headers)


async def _render_domain_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, AsktellError)
    return describe_error(error)


async def _render_validation_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [_to_field_error(part) for part in error.errors()]
    return build_problem(422, Invalid.code, _summarise(errors), errors=errors)


async def _render_http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)
    if isinstance(error, RequestRefused):
        code, detail = error.code, str(error.detail)
    else:
        fallback = (HTTPStatus(error.status_code).phrase.lower().replace(" ", "-"), error.detail)
        code, detail = _ROUTER_PROBLEMS.get(error.status_code, fallback)
    return build_problem(error.status_code, code, detail, headers=error.headers)


async def _render_unexpected_error(_request: Request, _error: Exception) -> Response:
    # The error is raised on after this; the envelope logs it, once.
    return build_internal_problem()


def _to_field_error(part: Mapping[str, Any]) -> FieldError:
    source, *path = part["loc"]
    return FieldError(".".join(str(step) for step in path) or str(source), part["msg"])


def _summarise(errors: Sequence[FieldError]) -> str:
    first = f"{errors[0].field}: {errors[0].message}"
    others = len(errors) - 1
    more = f" (and {others} more, see errors)" if others else ""
    return f"The request is not valid. {first}{more}."
