"""The routes of the stand-in: GraphQL, file streams, uploads, artifacts. Nothing else exists."""

import base64
import binascii
import gzip
import json
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.wandb_backend.artifacts import find_file
from tests.wandb_backend.faults import Faults
from tests.wandb_backend.file_stream import receive
from tests.wandb_backend.graphql import answer, read_request
from tests.wandb_backend.world import World

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


def build_app(world: World, faults: Faults) -> Starlette:
    routes = _Routes(world, faults)
    stream = "/files/{entity}/{project}/{run_id}/file_stream"
    file = "/artifactsV2/{region}/{entity}/{project}/{artifact}/{birth:path}/{digest}/{name}"
    return Starlette(
        routes=[
            Route("/graphql", routes.answer_graphql, methods=["POST"]),
            Route(stream, routes.take_stream, methods=["POST"]),
            Route(file, routes.send_file, methods=["GET"]),
            Route("/storage/{path:path}", routes.store, methods=["GET", "PUT"]),
            Route("/{path:path}", routes.refuse, methods=_METHODS),
        ]
    )


class _Routes:
    def __init__(self, world: World, faults: Faults) -> None:
        self._world = world
        self._faults = faults

    async def answer_graphql(self, request: Request) -> Response:
        document, variables = read_request(json.loads(await _read_body(request)))
        return await self._handle(
            document.name,
            lambda: (
                self._check_key(request) or self._write(*answer(self._world, document, variables))
            ),
        )

    async def take_stream(self, request: Request) -> Response:
        body = json.loads(await _read_body(request) or b"{}")
        path = "{entity}/{project}/{run_id}".format_map(request.path_params)
        return await self._handle(
            "file_stream", lambda: self._check_key(request) or self._take_stream(path, body)
        )

    async def store(self, request: Request) -> Response:
        """Upload addresses are secrets themselves: no key is asked for."""
        body = await _read_body(request)
        return await self._handle("storage", lambda: self._store(request, body))

    async def send_file(self, request: Request) -> Response:
        return await self._handle(
            "artifact_file", lambda: self._check_key(request) or self._send_file(request)
        )

    async def refuse(self, request: Request) -> Response:
        with self._world.lock:
            self._world.unknown.append(f"{request.method} {request.url.path}")
        return Response(status_code=404)

    async def _handle(self, name: str, act: Callable[[], Response]) -> Response:
        """Counts, misbehaves as it is told to, and acts with the world to itself."""
        with self._world.lock:
            self._world.requests[name] += 1
        await self._faults.wait_until_let_go(name)
        failure = self._faults.take_failure(name)
        if failure is not None:
            return _fail(*failure)
        with self._world.lock:
            self._world.expire_heartbeats()
            response = act()
        await self._faults.wait_until_answered(name)
        return _fail(504) if self._faults.take_loss(name) else response

    def _check_key(self, request: Request) -> Response | None:
        """A refusal if the key is not the right one, or a gateway lets nobody come so far."""
        if self._world.gate not in (None, request.headers.get("x-gate")):
            return self._write(403, {"errors": [{"message": "gateway"}]})
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        if scheme == "Basic" and _read_password(credentials) == self._world.api_key:
            return None
        return self._write(401, {"errors": [{"message": "user is not logged in"}]})

    def _take_stream(self, path: str, body: dict[str, Any]) -> Response:
        run = self._world.runs.get(path)
        if run is None:
            return self._write(404, {"error": "run not found"})
        return self._write(200, receive(self._world, run, body))

    def _store(self, request: Request, body: bytes) -> Response:
        path = request.path_params["path"]
        if request.method == "PUT":
            self._world.files[path] = body
        return Response(self._world.files.get(path, b""), 200 if path in self._world.files else 404)

    def _send_file(self, request: Request) -> Response:
        path = request.path_params
        keys = (path["entity"], path["project"], path["artifact"], path["digest"])
        content = find_file(self._world, *keys)
        return Response(content or b"", 404 if content is None else 200)

    def _write(self, status: int, body: Any) -> Response:
        return Response(self._world.dump(body), status, media_type="application/json")


async def _read_body(request: Request) -> bytes:
    body = await request.body()
    return gzip.decompress(body) if request.headers.get("content-encoding") == "gzip" else body


def _read_password(credentials: str) -> str:
    try:
        return base64.b64decode(credentials).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _fail(status: int, retry_after_seconds: int | None = None) -> Response:
    headers = {} if retry_after_seconds is None else {"Retry-After": str(retry_after_seconds)}
    body = {"errors": [{"message": f"The stand-in was told to fail with {status}."}]}
    return Response(json.dumps(body), status, headers, media_type="application/json")
