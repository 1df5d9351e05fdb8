"""Reading JSON as RFC 8259 has it: no NaN literals, no lone surrogates, no lost digits."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic_core import from_json

from service.api.problems import RequestRefused


class StrictJsonRoute(APIRoute):
    """A route whose body is parsed strictly; a malformed one is refused with 400."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            return await handle(_StrictJsonRequest(request.scope, request.receive))

        return handle_strictly


class _StrictJsonRequest(Request):
    async def json(self) -> Any:
        try:
            return from_json(await self.body(), allow_inf_nan=False)
        except ValueError as error:
            raise RequestRefused(
                400, "malformed-json", f"The body is not valid JSON: {error}."
            ) from error
