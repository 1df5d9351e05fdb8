"""Ways for a worker to have something killed at one point of an attempt's life.

What a worker does to the world goes through its HTTP transport and its executor; both are wrapped,
and the real ones do the work.
"""

import json
import os
import signal
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

import httpx

from service.schedulers.executors.base import (
    ErrorKind,
    Executor,
    Launch,
    Sighting,
    StopKind,
    Watch,
)


class Point(StrEnum):
    """Steps that outlast whoever dies after them."""

    CLAIMED = "claimed"
    LAUNCHED = "launched"
    SEEN = "seen"
    REPORTED = "reported"
    STOPPED = "stopped"
    EXITED = "exited"
    ENDED = "ended"
    FORGOTTEN = "forgotten"


Strike = Callable[[str], None]


def build_strike(order_file: Path) -> Strike:
    """Kills somebody when a point is reached, as often as an order to do so is found.

    Args:
        order_file: Holds the point and a process id; 0 means this process. Removed before the
            order is carried out. Without it nothing happens.
    """

    def strike(reached: str) -> None:
        try:
            point, pid = order_file.read_text().split()
        except FileNotFoundError:
            return
        if reached != point:
            return
        order_file.unlink()
        victim = int(pid) or os.getpid()
        os.kill(victim, signal.SIGKILL)
        while _is_running(victim):
            time.sleep(0.01)

    return strike


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in ("Z", "X")


class StrikingTransport(httpx.BaseTransport):
    """Reaches its points once the server has answered."""

    def __init__(self, strike: Strike) -> None:
        self._inner = httpx.HTTPTransport()
        self._strike = strike

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._inner.handle_request(request)
        response.read()
        if response.is_success:
            for point in _list_points(request, response):
                self._strike(point)
        return response

    def close(self) -> None:
        self._inner.close()


def _list_points(request: httpx.Request, response: httpx.Response) -> list[Point]:
    path = request.url.path
    if path.endswith("/claim"):
        return [Point.CLAIMED] if response.json()["attempts"] else []
    if not path.endswith("/observe"):
        return []
    seen = json.loads(request.content)
    if seen.get("ending") is not None:
        return [Point.ENDED]
    points = [Point.SEEN] if seen["state"] == "running" else []
    return points + ([Point.REPORTED] if seen.get("points") else [])


class StrikingExecutor:
    """Reaches its points once the real executor has done what it was to do."""

    def __init__(self, inner: Executor, strike: Strike) -> None:
        self.name = inner.name
        self.is_shared = inner.is_shared
        self._inner = inner
        self._strike = strike

    async def launch(self, launch: Launch) -> str:
        external_ref = await self._inner.launch(launch)
        self._strike(Point.LAUNCHED)
        return external_ref

    async def poll(self, watches: Sequence[Watch]) -> Mapping[str, Sighting]:
        sightings = await self._inner.poll(watches)
        if any(sighting.ending is not None for sighting in sightings.values()):
            self._strike(Point.EXITED)
        return sightings

    async def stop(self, launch: Launch, kind: StopKind) -> None:
        await self._inner.stop(launch, kind)
        self._strike(Point.STOPPED)

    async def forget(self, launch: Launch) -> None:
        await self._inner.forget(launch)
        self._strike(Point.FORGOTTEN)

    async def tend(self) -> None:
        await self._inner.tend()

    async def list_left_over(self, known: Collection[str]) -> list[str]:
        return await self._inner.list_left_over(known)

    def url(self, external_ref: str) -> str | None:
        return self._inner.url(external_ref)

    def classify(self, error: Exception) -> ErrorKind:
        return self._inner.classify(error)
