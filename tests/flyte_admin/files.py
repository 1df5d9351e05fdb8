"""Files by HTTP: signed uploads, which fast registration makes, outputs, and tokens."""

import base64
import hashlib
import http.server
import json
import threading
import uuid
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

from flyteidl.service import dataproxy_pb2

from tests.flyte_admin.faults import Faults, When, wait_out
from tests.flyte_admin.ports import bind
from tests.flyte_admin.world import World

_UPLOADS = "/uploads/"
OUTPUTS = "/outputs/"
"""Each under the number of its execution."""


def create_upload_location(world: World, request: Any) -> Any:
    folder = request.filename_root or uuid.uuid4().hex
    path = Path(request.project, request.domain, folder, request.filename or "file")
    return dataproxy_pb2.CreateUploadLocationResponse(
        signed_url=f"{world.files_url}{_UPLOADS}{path}",
        native_url=str(world.root / "uploads" / path),
    )


OPERATIONS = {"CreateUploadLocation": create_upload_location}


class FileServer:
    """One life of it, from the opening of its port to its closing."""

    def __init__(self, world: World, faults: Faults, port: int) -> None:
        class Handler(_Handler):
            pass

        Handler.world, Handler.faults = world, faults
        self._server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", port), Handler, bind_and_activate=False
        )
        self._server.socket.close()
        self._server.socket = bind(port)
        self._server.server_activate()
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    world: World
    faults: Faults

    def do_PUT(self) -> None:
        if self._may_begin("upload"):
            self._finish("upload", self._store())

    def do_GET(self) -> None:
        if self._may_begin("download"):
            self._finish_download(self._find_outputs())

    def do_POST(self) -> None:
        if self.path != "/oauth2/token":
            self._send(HTTPStatus.NOT_FOUND)
        elif self._may_begin("token"):
            self._finish("token", *self._issue_token())

    def log_message(self, *_: Any) -> None:
        """Not to the output of tests."""

    def _may_begin(self, name: str) -> bool:
        with self.world.lock:
            self.world.calls[name] += 1
        return not self._is_befallen(name, "before")

    def _finish(self, name: str, status: HTTPStatus, body: dict[str, Any] | None = None) -> None:
        if not self._is_befallen(name, "after"):
            self._send(status, body)

    def _finish_download(self, body: bytes | None) -> None:
        if body is None:
            self._send(HTTPStatus.NOT_FOUND)
        elif not self._is_befallen("download", "after"):
            self._send_bytes(HTTPStatus.OK, "application/octet-stream", body)

    def _find_outputs(self) -> bytes | None:
        with self.world.lock:
            for record in self.world.executions.values():
                if self.path == f"{OUTPUTS}{record.number}" and record.output_literals is not None:
                    return record.output_literals.SerializeToString()
        return None

    def _is_befallen(self, name: str, when: When) -> bool:
        fault = self.faults.take(name, when)
        if fault is None:
            return False
        if fault.code is None:
            wait_out(fault, lambda: True)
            return False
        self._send(HTTPStatus.SERVICE_UNAVAILABLE)
        return True

    def _store(self) -> HTTPStatus:
        """The checksum is what a real store checks, too."""
        body = self._read_body()
        uploads = (self.world.root / "uploads").resolve()
        path = (uploads / self.path.removeprefix(_UPLOADS)).resolve()
        if not path.is_relative_to(uploads):
            return HTTPStatus.FORBIDDEN
        checksum = base64.b64encode(hashlib.md5(body).digest()).decode()
        if self.headers.get("Content-MD5") != checksum:
            return HTTPStatus.BAD_REQUEST
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return HTTPStatus.OK

    def _issue_token(self) -> tuple[HTTPStatus, dict[str, Any]]:
        self._read_body()
        if self.world.client != _read_credentials(self.headers.get("Authorization", "")):
            return HTTPStatus.UNAUTHORIZED, {"error": "invalid_client"}
        token = uuid.uuid4().hex
        with self.world.lock:
            self.world.tokens.add(token)
        answer = {"access_token": token, "token_type": "bearer", "expires_in": 3600}
        return HTTPStatus.OK, answer

    def _read_body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _send(self, status: HTTPStatus, body: dict[str, Any] | None = None) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        self._send_bytes(status, "application/json", data)

    def _send_bytes(self, status: HTTPStatus, kind: str, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _read_credentials(header: str) -> tuple[str, str]:
    """RFC 6749, 2.3.1: each part is encoded for URLs before they are joined."""
    scheme, _, credentials = header.partition(" ")
    if scheme != "Basic":
        return "", ""
    identifier, _, secret = base64.b64decode(credentials).decode().partition(":")
    return unquote_plus(identifier), unquote_plus(secret)
