"""Routes that take nothing they do not understand, and answer HEAD wherever they answer GET."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic_core import from_json
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from service.api.nearest import describe_unknown
from service.api.problems import RequestRefused


class StrictRoute(APIRoute):
    """The route class of all operations.

    A body is parsed as RFC 8259 has it: no NaN literals, no lone surrogates, no lost digits; a
    malformed one is refused with 400. An unknown query parameter is refused with 422.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        known = _list_query_parameters(self.dependant)

        async def handle_strictly(request: Request) -> Response:
            _refuse_unknown_query(request, known)
            return await handle(_StrictJsonRequest(request.scope, request.receive))

        return handle_strictly

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return super().matches(_as_get(scope) if self._reads_head(scope) else scope)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._reads_head(scope):
            # The web server leaves the body out.
            scope = _as_get(scope)
        await super().handle(scope, receive, send)

    def _reads_head(self, scope: Scope) -> bool:
        return scope.get("method") == "HEAD" and "GET" in (self.methods or ())


class _StrictJsonRequest(Request):
    async def json(self) -> Any:
        try:
            return from_json(await self.body(), allow_inf_nan=False)
        except ValueError as error:
            raise RequestRefused(
                400, "malformed-json", f"The body is not valid JSON: {error}."
            ) from error


def _list_query_parameters(dependant: Dependant) -> list[str]:
    inner = (name for each in dependant.dependencies for name in _list_query_parameters(each))
    return [*(field.alias for field in dependant.query_params), *inner]


def _refuse_unknown_query(request: Request, known: list[str]) -> None:
    errors = [
        {"loc": ("query", name), "msg": describe_unknown("query parameter", name, known)}
        for name in request.query_params
        if name not in known
    ]
    if errors:
        raise RequestValidationError(errors)


def _as_get(scope: Scope) -> Scope:
    return {**scope, "method": "GET"}
