"""Tells whoever waits for attempts that there may be some, or that waiting is over."""

import asyncio
from contextlib import suppress


class Offers:
    """One per engine. Missing a word costs no more than a moment: everybody looks again anyway.

    Attributes:
        closed: Set once the server is about to end: nobody waits any more.
    """

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self._announced = asyncio.Event()

    def announce(self) -> None:
        """A sweep may want attempts that it did not want before."""
        self._announced.set()
        self._announced = asyncio.Event()

    def close(self) -> None:
        """Answers everybody who waits, now and from now on."""
        self.closed.set()
        self.announce()

    async def wait(self, seconds: float) -> None:
        """Returns after the next word, or after `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._announced.wait()
