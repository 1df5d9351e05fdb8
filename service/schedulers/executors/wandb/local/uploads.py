"""Programs that have done their work and cannot upload it, because W&B does not answer."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NoReturn

from service.schedulers.executors.wandb.connection.connection import WandbRefused
from service.schedulers.executors.wandb.runs.run_api import WandbApi

_LOOK_SECONDS = 2.0
_CORE_LOG = os.path.join("logs", "debug-internal.log")
_LAST_SENT = b'"complete":true'
_ANSWERED = b"filestream: request sent"
_TAIL_BYTES = 64 * 1024


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
        self._are_some = asyncio.Event()

    def note(self, attempt_id: str, *, is_finishing: bool) -> None:
        """Takes in whether an attempt is at its upload."""
        if is_finishing:
            self._waiting_since.setdefault(attempt_id, self._clock())
            self._are_some.set()
        else:
            self._waiting_since.pop(attempt_id, None)

    async def run(self) -> NoReturn:
        """Looks whether W&B answers as long as anybody waits for it."""
        while True:
            await self._are_some.wait()
            await self.look()
            await asyncio.sleep(min(_LOOK_SECONDS, self._upload_seconds))
            if not self._waiting_since:
                self._are_some.clear()

    async def look(self) -> None:
        """Looks once."""
        if await self._does_answer():
            now = self._clock()
            self._waiting_since = dict.fromkeys(self._waiting_since, now)
            return
        until = self._clock() - self._upload_seconds
        for attempt_id in [name for name, since in self._waiting_since.items() if since <= until]:
            await self._cut_short(attempt_id)

    async def _does_answer(self) -> bool:
        with suppress(WandbRefused):
            return await self._api.is_reachable()
        return False


def has_uploaded(run_folder: str) -> bool:
    """Tells whether W&B has got all of a run, so that its program is at something else by now.

    wandb-core logs what it sends last, and that it was taken. Where that log is another one, by an
    other version, nothing is known to be uploaded.
    """
    with suppress(OSError), open(os.path.join(run_folder, _CORE_LOG), "rb") as stream:
        stream.seek(max(0, os.fstat(stream.fileno()).st_size - _TAIL_BYTES))
        return _ANSWERED in stream.read().partition(_LAST_SENT)[2]
    return False
