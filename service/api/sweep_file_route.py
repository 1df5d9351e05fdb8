"""Sweep files as bodies: read, checked like JSON, and answered for by their keys and lines."""

import asyncio
import hashlib
import secrets
import string
from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.types import Message, Receive, Scope

from service.api.answers import render_json
from service.api.strict import StrictRoute
from service.domain.errors import FieldError, Invalid, InvalidSweepFile
from service.samplers import is_available
from service.sweep_files import Defaults, SweepFile, read_sweep_file

SWEEP_FILE_TYPES = ("application/yaml", "text/yaml", "application/x-yaml")

_EXAMPLE = """method: bayes
metric: {name: accuracy, goal: maximize}
parameters:
  lr: {min: 1.0e-5, max: 0.1, distribution: log_uniform_values}
  layers: {min: 1, max: 4}
run_cap: 50
program: train.py
"""
SWEEP_FILE_BODY: dict[str, Any] = {
    "requestBody": {
        "content": {
            SWEEP_FILE_TYPES[0]: {
                "schema": {
                    "type": "string",
                    "description": "A sweep file, of Weights & Biases' form or of ours",
                    "examples": [_EXAMPLE],
                }
            }
        }
    }
}
"""What OpenAPI says of such bodies."""

_FILE = "asktell.sweep_file"
_QUERIES = ("name", "directory", "executor", "project", "entity", "mode")
_NAME_CHARACTERS = string.digits + string.ascii_lowercase
_NAME_LENGTH = 8


class SweepFileRoute(StrictRoute):
    """A route that takes a sweep file wherever it takes the JSON that the file stands for."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_file(request: Request) -> Response:
            if not _has_file(request):
                return await handle(request)
            file = await _read_file(request)
            try:
                return await handle(_replace_by_json(request, file))
            except RequestValidationError as error:
                parts = [_place_part(part, file) for part in error.errors()]
                raise RequestValidationError(parts) from error
            except Invalid as error:
                raise _place_error(error, file) from error

        return handle_file


def get_notes(request: Request) -> tuple[str, ...]:
    """What the sweep file of a request has made the service say; nothing for JSON."""
    file: SweepFile | None = request.scope.get(_FILE)
    return () if file is None else file.notes


async def _check_file_queries(
    request: Request,
    name: Annotated[
        str | None, Query(description="Of the study, for a sweep file that gives none")
    ] = None,
    directory: Annotated[
        str | None, Query(description="Of the program, for a sweep file that gives none")
    ] = None,
    executor: Annotated[
        Literal["process", "wandb", "wandb-launch", "wandb-agent"] | None,
        Query(description="How trials are launched, for a sweep file that does not say"),
    ] = None,
    project: Annotated[
        str | None, Query(description="Of W&B's runs, for a sweep file that gives none")
    ] = None,
    entity: Annotated[
        str | None, Query(description="Of W&B's runs, for a sweep file that gives none")
    ] = None,
    mode: Annotated[
        Literal["online", "offline"] | None,
        Query(description="Of W&B's runs, for a sweep file that gives none"),
    ] = None,
) -> None:
    given = (name, directory, executor, project, entity, mode)
    in_json = _FILE not in request.scope
    pairs = zip(_QUERIES, given, strict=True)
    misplaced = [key for key, value in pairs if value is not None and in_json]
    if misplaced:
        message = "is for sweep files; JSON says it in its body"
        raise RequestValidationError([{"loc": ("query", key), "msg": message} for key in misplaced])


takes_file_queries = Depends(_check_file_queries)


def _has_file(request: Request) -> bool:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type in SWEEP_FILE_TYPES


async def _read_file(request: Request) -> SweepFile:
    body = await request.body()
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidSweepFile(
            f"The sweep file is not UTF-8, at byte {error.start}; save it as UTF-8."
        ) from error
    query = request.query_params
    given = {key: query[key] for key in _QUERIES if key in query}
    name = given.pop("name", None) or _choose_name(request, body)
    defaults = Defaults(name, **given, has_gp=is_available("GPSampler"))
    # A large one takes its time.
    return await asyncio.to_thread(read_sweep_file, text, defaults)


def _choose_name(request: Request, body: bytes) -> str:
    """A name for a study whose file has none; the same one for a repeat by its key."""
    key = request.headers.get("idempotency-key")
    drawn = secrets.token_bytes() if key is None else hashlib.sha256(key.encode() + body).digest()
    letters = (_NAME_CHARACTERS[byte % len(_NAME_CHARACTERS)] for byte in drawn)
    return "sweep-" + "".join(letters)[:_NAME_LENGTH]


def _replace_by_json(request: Request, file: SweepFile) -> Request:
    """The same request, had it come with the JSON that the file stands for."""
    body = render_json(file.document)
    headers = [
        (name, value)
        for name, value in request.scope["headers"]
        if name not in (b"content-type", b"content-length")
    ]
    headers.append((b"content-type", b"application/json"))
    scope: Scope = {**request.scope, "headers": headers, _FILE: file}
    return Request(scope, _give_once(body, request.receive))


def _give_once(body: bytes, receive: Receive) -> Receive:
    parts = iter([body])

    async def receive_file() -> Message:
        for part in parts:
            return {"type": "http.request", "body": part, "more_body": False}
        return await receive()

    return receive_file


def _place_part(part: Mapping[str, Any], file: SweepFile) -> dict[str, Any]:
    source, *path = part["loc"]
    if source != "body":
        return dict(part)
    placed = _place(FieldError(".".join(map(str, path)), part["msg"]), file)
    return {"loc": (source, placed.field), "msg": placed.message}


def _place_error(error: Invalid, file: SweepFile) -> Invalid:
    if isinstance(error, InvalidSweepFile) or not error.errors:
        return error
    errors = [_place(each, file) for each in error.errors]
    first = f"{errors[0].field}: {errors[0].message}"
    return type(error)(f"The sweep file is not valid. {first}", errors=errors)


def _place(error: FieldError, file: SweepFile) -> FieldError:
    return file.place_error(error) or error
