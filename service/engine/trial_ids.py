"""Trial ids for one study, drawn in small blocks so that they rise with the trial numbers.

Optuna's cached storages skip ids at or below the last finished one, so an id may never be used
after a higher one of the same study became visible. A block is drawn after the study was loaded
and dropped with its actor.
"""

from collections import deque
from typing import Any

from psycopg_pool import AsyncConnectionPool

from service.storage.driver_errors import unavailable_when_lost
from service.storage.waiting import NEXT_TRIAL_IDS

_BLOCK = 64


class TrialIds:
    """Belongs to one actor; `reserve` before handing it to a mirror."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool
        self._ids: deque[int] = deque()

    async def reserve(self, count: int) -> None:
        """Makes sure that `count` ids can be taken.

        Raises:
            DatabaseUnavailable: They could not be drawn.
        """
        missing = count - len(self._ids)
        if missing <= 0:
            return
        with unavailable_when_lost():
            async with self._pool.connection() as connection:
                cursor = await connection.execute(NEXT_TRIAL_IDS, (max(missing, _BLOCK),))
                self._ids.extend(row[0] for row in await cursor.fetchall())

    def take(self) -> int:
        """Returns the next id; only after `reserve`."""
        return self._ids.popleft()
