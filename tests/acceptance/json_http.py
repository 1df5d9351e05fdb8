"""JSON over HTTP/1.1 for many clients in one process: a library's share of the work would be most.

Takes what this service sends: keep-alive connections, and bodies with a Content-Length.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class JsonHttp:
    """One server. Any number of tasks may send requests at once, each on a connection of its own.

    Args:
        headers: Sent with every request.
    """

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._address = urlsplit(url)
        self._headers = {"Host": self._address.netloc, **headers}
        self._free: list[_Connection] = []

    async def send(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Returns the status and the document of the answer."""
        connection = self._free.pop() if self._free else await self._connect()
        answer = await self._exchange(connection, self._write(method, path, body, headers or {}))
        self._free.append(connection)
        return answer

    async def send_and_hang_up(self, method: str, path: str, body: Any = None) -> None:
        """Sends the request and is gone before the answer comes."""
        _, writer = await self._connect()
        writer.write(self._write(method, path, body, {}))
        await writer.drain()
        writer.close()

    async def close(self) -> None:
        for _, writer in self._free:
            writer.close()
            await writer.wait_closed()

    async def _connect(self) -> _Connection:
        return await asyncio.open_connection(self._address.hostname, self._address.port)

    def _write(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> bytes:
        content = b"" if body is None else json.dumps(body).encode()
        about = {"Content-Type": "application/json", "Content-Length": str(len(content))}
        lines = [
            f"{name}: {value}" for name, value in {**self._headers, **about, **headers}.items()
        ]
        return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode() + content

    async def _exchange(self, connection: _Connection, request: bytes) -> tuple[int, Any]:
        reader, writer = connection
        writer.write(request)
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines if line)
        content = await reader.readexactly(int(headers["content-length"]))
        return int(status.split()[1]), json.loads(content)


@asynccontextmanager
async def open_json_http(url: str, headers: Mapping[str, str]) -> AsyncIterator[JsonHttp]:
    """Closes its connections at the end."""
    http = JsonHttp(url, headers)
    try:
        yield http
    finally:
        await http.close()
