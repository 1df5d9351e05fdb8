"""Reads what a run logs from W&B, while it runs and once it has ended."""

import asyncio
from collections.abc import Mapping
from typing import Any

from service.schedulers.executors.wandb.runs.run_api import HistoryPiece, RunView, WandbApi
from service.schedulers.executors.wandb.runs.run_metrics import RunMetrics
from service.schedulers.executors.wandb.runs.run_states import is_over, is_silent
from service.schedulers.executors.wandb.runs.runs import RunPath

# Of one run's history at a look.
_PIECES = 10
# Taken in at once: a piece may hold ten thousand, and others wait meanwhile.
_ROWS = 1_000


class RunHistory:
    """How far the history of one run was read.

    Args:
        metrics: Takes in what is read.

    Attributes:
        earlier_to: The last step of the attempt that the run's present one goes on from.
    """

    def __init__(self, metrics: RunMetrics) -> None:
        self.earlier_to = -1
        self._metrics = metrics
        self._read_to = -1
        # To the end, for the run had ended when that was asked for.
        self._is_read = False

    def has_more(self, view: RunView | None) -> bool:
        """Tells whether there is something to read of a run that is seen like this."""
        return self._find_new_steps(view) is not None

    async def read_on(self, api: WandbApi, path: RunPath, view: RunView | None) -> None:
        """Reads what is new; of very much a part, for other runs wait meanwhile.

        Args:
            view: The run as it was seen before; None if it is not there.
        """
        for _ in range(_PIECES):
            steps = self._find_new_steps(view)
            if view is None or steps is None:
                return
            await self._add(await api.read_history(path, self._metrics.keys, *steps), view)

    def _find_new_steps(self, view: RunView | None) -> tuple[int, int | None] | None:
        """Returns the first and the last step to read; None if there is nothing.

        Of a run that has ended the last one is whatever W&B has last: None.

        What comes after a step that is not the run's last yet would be read in part: values of
        one step are asked for one after the other.
        """
        if view is None or not self._metrics.keys:
            return None
        if _has_ended(view):
            return None if self._is_read else (self._read_to + 1, None)
        return (self._read_to + 1, view.last_step) if view.last_step > self._read_to else None

    async def _add(self, piece: HistoryPiece, view: RunView) -> None:
        for begin in range(0, len(piece.rows), _ROWS):
            for row in piece.rows[begin : begin + _ROWS]:
                self._add_row(row, int(row["_step"]))
            await asyncio.sleep(0)
        self._read_to = max(self._read_to, piece.read_to)
        self._is_read = piece.is_all and _has_ended(view)

    def _add_row(self, row: Mapping[str, Any], step: int) -> None:
        earlier = self._metrics.earlier
        of_attempt = self._metrics if earlier is None or step > self.earlier_to else earlier
        of_attempt.add(row, step)
        # Row by row: who gives up waiting in between must not have it taken in twice.
        self._read_to = step


def _has_ended(view: RunView) -> bool:
    """What is only silent may have more to say."""
    return is_over(view) and not is_silent(view)
