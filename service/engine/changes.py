"""Changes: what wakes those who wait for a study to have more for them."""

import asyncio


class Changes:
    """Belongs to the event loop.

    Attributes:
        count_waiting: How many wait just now.
    """

    def __init__(self) -> None:
        self.count_waiting = 0
        self._changed = asyncio.Event()

    def announce(self) -> None:
        """Wakes everybody who waits."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, seconds: float, *others: asyncio.Event) -> None:
        """Returns once there was a change or another event, or after `seconds`."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self._changed, *others)]
        self.count_waiting += 1
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.count_waiting -= 1
            for wait in waits:
                wait.cancel()
