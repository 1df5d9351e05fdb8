"""Lines of JSON to and from the server, and bytes from it, over one socket."""

import json
import os
from typing import Any

_CHUNK = 65536


class Channel:
    """The child's end. Only `read` and `write` are used: a sealed process has no socket calls."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._pending = b""

    def send(self, message: dict[str, Any]) -> None:
        """Send one message.

        Raises:
            ValueError: It has numbers that JSON lacks, or a cycle.
            TypeError: It has something that is no JSON.
        """
        left = memoryview(json.dumps(message, allow_nan=False).encode() + b"\n")
        while left:
            left = left[os.write(self._descriptor, left) :]

    def receive(self) -> dict[str, Any]:
        """Return the next message.

        Raises:
            EOFError: The server has closed its end.
        """
        chunks = [self._pending]
        while b"\n" not in chunks[-1]:
            chunk = os.read(self._descriptor, _CHUNK)
            if not chunk:
                raise EOFError
            chunks.append(chunk)
        line, _, self._pending = b"".join(chunks).partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def receive_bytes(self) -> bytes:
        """Return the next bytes that the server has sent.

        Raises:
            EOFError: The server has closed its end.
        """
        left = self.receive()["bytes"]
        chunks = [self._pending[:left]]
        self._pending = self._pending[left:]
        left -= len(chunks[0])
        while left:
            chunk = os.read(self._descriptor, min(left, _CHUNK))
            if not chunk:
                raise EOFError
            chunks.append(chunk)
            left -= len(chunk)
        return b"".join(chunks)
