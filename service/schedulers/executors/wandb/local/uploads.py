"""Programs that have done their work and cannot upload it, because W&B does not answer."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NoReturn

import structlog

from service.schedulers.executors.connection.connection import SystemRefused
from service.schedulers.executors.wandb.runs.run_api import WandbApi

_LOOK_SECONDS = 2.0
_CORE_LOG = os.path.join("logs", "debug-internal.log")
_LAST_SENT = b'"complete":true'
# Far more than wandb-core pauses between two tries.
_MOST_UNANSWERED_SECONDS = 600.0
_SENT = b"filestream: sending request"
_ANSWERED = b"filestream: request sent"
_TAIL_BYTES = 64 * 1024

_log = structlog.get_logger(__name__)


class Uploads:
    """Counts for how long W&B has kept programs waiting; whoever uploads, however slowly, may.

    Args:
        cut_short: Ends the attempt of this id; called again until that is done.
        upload_seconds: For how long a program may try in vain.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        api: WandbApi,
        cut_short: Callable[[str], Awaitable[None]],
        *,
        upload_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._api = api
        self._cut_short = cut_short
        self._upload_seconds = upload_seconds
        self._clock = clock
        self._waiting_since: dict[str, float] = {}
        self._unanswered_since: dict[str, float] = {}
        self._are_some = asyncio.Event()

    def note(self, attempt_id: str, *, is_finishing: bool, is_unanswered: bool = False) -> None:
        """Takes in whether an attempt is at its upload, and has sent what W&B does not take."""
        if is_finishing and is_unanswered:
            self._unanswered_since.setdefault(attempt_id, self._clock())
        else:
            self._unanswered_since.pop(attempt_id, None)
        if is_finishing:
            self._waiting_since.setdefault(attempt_id, self._clock())
            self._are_some.set()
        else:
            self._waiting_since.pop(attempt_id, None)

    async def run(self) -> NoReturn:
        """Looks whether W&B answers as long as anybody waits for it."""
        while True:
            await self._are_some.wait()
            try:
                await self.look()
            except Exception:
                # Other programs, and the worker, have nothing to do with it.
                _log.exception("look.broken", executor="wandb")
            await asyncio.sleep(min(_LOOK_SECONDS, self._upload_seconds))
            if not self._waiting_since:
                self._are_some.clear()

    async def look(self) -> None:
        """Looks once."""
        if await self._does_answer():
            now = self._clock()
            self._waiting_since = dict.fromkeys(self._waiting_since, now)
        for attempt_id in self._list_overdue(self._clock()):
            await self._cut_short(attempt_id)

    def _list_overdue(self, now: float) -> list[str]:
        """W&B may answer questions and take no rows: those go another way."""
        waits = (
            (self._waiting_since, now - self._upload_seconds),
            (self._unanswered_since, now - _MOST_UNANSWERED_SECONDS),
        )
        overdue = (name for begun, until in waits for name, at in begun.items() if at <= until)
        return list(dict.fromkeys(overdue))

    async def _does_answer(self) -> bool:
        with suppress(SystemRefused):
            return await self._api.is_reachable()
        return False


def has_uploaded(run_folder: str) -> bool:
    """Tells whether W&B has got all of a run, so that its program is at something else by now.

    wandb-core logs what it sends last, and that it was taken. Where that log is another one, by an
    other version, nothing is known to be uploaded.
    """
    return _ANSWERED in _read_tail(run_folder).partition(_LAST_SENT)[2]


def has_unanswered_request(run_folder: str) -> bool:
    """Tells whether wandb-core tries to send something that W&B has not taken yet."""
    tail = _read_tail(run_folder)
    return tail.rfind(_SENT) > tail.rfind(_ANSWERED)


def _read_tail(run_folder: str) -> bytes:
    with suppress(OSError), open(os.path.join(run_folder, _CORE_LOG), "rb") as stream:
        stream.seek(max(0, os.fstat(stream.fileno()).st_size - _TAIL_BYTES))
        return stream.read()
    return b""
