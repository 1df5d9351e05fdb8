"""Answers by idempotency key: a repeat gets the first answer, also while that is under way."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.domain.errors import IdempotencyKeyReused
from service.storage.journal import REPLY_LIFETIME, StoredReply


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """One request that may arrive more than once; `body_digest` tells a repeat from a mistake."""

    operation: str
    key: str
    body_digest: bytes
    arrived_at: datetime

    def reply(self, answer: Any) -> StoredReply:
        """The row that makes `answer` the answer of every repeat."""
        return StoredReply(self.operation, self.key, self.body_digest, answer, self.arrived_at)


def keyed_request(operation: str, key: str, body: Any, *, now: datetime) -> KeyedRequest:
    """Builds the identity of a request from its key and its JSON-like body."""
    text = json.dumps(body, sort_keys=True).encode()
    return KeyedRequest(operation, key, hashlib.sha256(text).digest(), now)


class Replies:
    """One study's answered and running keyed requests. Belongs to the event loop.

    Args:
        stored: Oldest first.
    """

    def __init__(self, stored: Iterable[StoredReply]) -> None:
        self._answered = {(reply.operation, reply.key): reply for reply in stored}
        self._running: dict[tuple[str, str], tuple[KeyedRequest, asyncio.Future[Any]]] = {}

    async def once(self, request: KeyedRequest, produce: Callable[[], Awaitable[Any]]) -> Any:
        """Returns the JSON-like answer, which `produce` makes at most once per key.

        `produce` must itself store `request.reply(answer)` in the transaction of its effect. It
        goes on when the caller goes away.

        Raises:
            IdempotencyKeyReused: The key came with another body before.
        """
        self._forget_old(request.arrived_at)
        name = (request.operation, request.key)
        answered = self._answered.get(name)
        if answered is not None:
            _check_same_body(request, answered.body_digest)
            return answered.answer
        if name not in self._running:
            self._start(request, produce)
        first, answer = self._running[name]
        _check_same_body(request, first.body_digest)
        return await asyncio.shield(answer)

    def _forget_old(self, now: datetime) -> None:
        # Oldest first, so this looks at one more than it forgets.
        while self._answered:
            name, oldest = next(iter(self._answered.items()))
            if now - oldest.created_at < REPLY_LIFETIME:
                return
            del self._answered[name]

    def _start(self, request: KeyedRequest, produce: Callable[[], Awaitable[Any]]) -> None:
        name = (request.operation, request.key)
        task = asyncio.ensure_future(produce())
        self._running[name] = (request, task)
        task.add_done_callback(lambda done: self._finish(request, done))

    def _finish(self, request: KeyedRequest, done: asyncio.Future[Any]) -> None:
        name = (request.operation, request.key)
        del self._running[name]
        if not done.cancelled() and done.exception() is None:
            self._answered[name] = request.reply(done.result())


def _check_same_body(request: KeyedRequest, first_digest: bytes) -> None:
    if request.body_digest != first_digest:
        raise IdempotencyKeyReused(
            f"Idempotency-Key {request.key!r} was used for a different {request.operation} before. "
            "Use a new key for a new request."
        )
