"""Hot endpoints without FastAPI's per-request machinery, which costs more than their own work.

A `DirectRoute` reads path, header and body straight into the endpoint's arguments, by the same
annotations from which FastAPI documents and checks them. Whatever does not fit at once goes the
ordinary way, which alone knows how to refuse.
"""

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, get_args, get_type_hints

from fastapi import Request, params
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json
from starlette.types import Message, Receive, Scope, Send

from service.api.log_fields import note_attempt
from service.api.strict import StrictRoute

_ABSENT = object()


_current_request: ContextVar[Request | None] = ContextVar("current_request", default=None)


async def is_client_there() -> bool:
    """Whether the client of the request at hand still waits for its answer."""
    request = _current_request.get()
    return request is None or not await request.is_disconnected()


@dataclass(frozen=True, slots=True)
class _Argument:
    """One argument of an endpoint: where it comes from, and what it must look like."""

    name: str
    find: Callable[[Scope, bytes], Any]
    adapter: TypeAdapter[Any]
    default: Any

    def read(self, scope: Scope, body: bytes) -> Any:
        found = self.find(scope, body)
        if found is _ABSENT and self.default is not inspect.Parameter.empty:
            return self.default
        return self.adapter.validate_python(found)


class DirectRoute(StrictRoute):
    """For POST endpoints `(target, …) -> Response`; other arguments are path, header or body.

    The target is a dependency such as the actor: of the request, and perhaps parts of the path.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self._arguments = _list_arguments(endpoint)
        self._find_target = _get_dependency(endpoint)
        self._target_arguments = _list_arguments(self._find_target)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request that matches the path; Starlette's hook for a route of one's own."""
        if scope["method"] != "POST" or scope["query_string"]:
            await super().handle(scope, receive, send)
            return
        request = Request(scope, receive)
        body = await request.body()
        _current_request.set(request)
        try:
            address = {each.name: each.read(scope, b"") for each in self._target_arguments}
            arguments = {each.name: each.read(scope, body) for each in self._arguments}
        except (ValidationError, ValueError):
            await super().handle(scope, _again(body, receive), send)
            return
        note_attempt(scope, arguments.get("body"))
        target = await self._find_target(Request(scope), **address)
        response = await self.endpoint(target, **arguments)
        await response(scope, receive, send)


def _list_arguments(endpoint: Callable[..., Any]) -> list[_Argument]:
    hints = get_type_hints(endpoint, include_extras=True)
    parameters = inspect.signature(endpoint).parameters.values()
    return [
        _Argument(
            each.name,
            _choose_source(hints[each.name]),
            TypeAdapter(hints[each.name]),
            each.default,
        )
        for each in parameters
        if hints[each.name] is not Request and not _describe(hints[each.name], params.Depends)
    ]


def _get_dependency(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """What an endpoint's first argument depends on."""
    hint, *_ = get_type_hints(endpoint, include_extras=True).values()
    (depends,) = _describe(hint, params.Depends)
    dependency: Callable[..., Any] = depends.dependency
    return dependency


def _choose_source(annotation: Any) -> Callable[[Scope, bytes], Any]:
    for path in _describe(annotation, params.Path):
        return lambda scope, _: scope["path_params"][path.alias]
    for header in _describe(annotation, params.Header):
        name = header.alias.lower().encode()
        return lambda scope, _: _find_header(scope, name)
    return lambda _, body: from_json(body, allow_inf_nan=False) if body else _ABSENT


def _describe(annotation: Any, kind: type[Any]) -> list[Any]:
    return [each for each in get_args(annotation) if isinstance(each, kind)]


def _find_header(scope: Scope, wanted: bytes) -> Any:
    for name, value in scope["headers"]:
        if name == wanted:
            return value.decode("latin-1")
    return _ABSENT


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives a body that was read once more, then what follows it."""
    is_given = False

    async def receive_again() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
