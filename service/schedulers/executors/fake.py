"""An executor without anything outside: a test says what its programs do.

    world = FakeWorld()
    executor = FakeExecutor(world)
    world.report("k3v9x2ab-0-1", {"accuracy": 0.9})
    world.end("k3v9x2ab-0-1", exit_code=0)

The world stays when a worker dies: another executor on it finds what the first one launched. What
is said of an attempt before its launch happens at its launch.
"""

import asyncio
import signal
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from service.domain.attempts import Ending, EndingKind
from service.schedulers.executors.base import (
    MOST_ROWS,
    ErrorKind,
    Launch,
    MetricRow,
    Sighting,
    StillRunning,
    StopKind,
    Watch,
)


class FakeFailure(Exception):
    """An outside that is away for the moment."""


@dataclass(slots=True)
class FakeProgram:
    """An attempt in the world.

    Attributes:
        is_stubborn: Only being killed ends it.
        is_immortal: Nothing ends it.
        stops: How it was told to end, each time.
    """

    launch: Launch | None = None
    is_started: bool = True
    is_stubborn: bool = False
    is_immortal: bool = False
    rows: list[MetricRow] = field(default_factory=list)
    log: bytes = b""
    stops: list[StopKind] = field(default_factory=list)
    ending: Ending | None = None


class FakeWorld:
    """What is outside of workers, and what tests do to it.

    Attributes:
        executions: How often each attempt was started, by its id.
        launched: All launches as they came, repeated ones too.
        tending: How many executors do what there is to do on the side.
        is_open: Cleared, it holds up every operation until it is set.
        broken: Operations that fail as long as they are in here, and what with.
    """

    def __init__(self) -> None:
        self.executions: Counter[str] = Counter()
        self.launched: list[Launch] = []
        self.tending = 0
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.broken: dict[str, Exception] = {}
        self._programs: defaultdict[str, FakeProgram] = defaultdict(FakeProgram)
        self._known: set[str] = set()
        self._refusals: dict[str, Exception] = {}
        self._failures: dict[str, list[Exception]] = defaultdict(list)

    def program(self, attempt_id: str) -> FakeProgram:
        """Returns what there is, or will be, of an attempt."""
        return self._programs[attempt_id]

    def report(self, attempt_id: str, values: Mapping[str, float], *, step: int = -1) -> None:
        """Has the program give metrics, without a step at the next one."""
        program = self._programs[attempt_id]
        program.rows.append(MetricRow(len(program.rows) if step < 0 else step, values))

    def print(self, attempt_id: str, text: str) -> None:
        """Has the program print something that is no metric."""
        self._programs[attempt_id].log += text.encode()

    def end(self, attempt_id: str, *, exit_code: int = 0, message: str | None = None) -> None:
        """Has the program exit; the first end stays."""
        self._end(attempt_id, Ending(EndingKind.EXITED, exit_code, message=message))

    def kill(self, attempt_id: str, number: int = signal.SIGKILL) -> None:
        """Ends the program by a signal."""
        self._end(attempt_id, Ending(EndingKind.EXITED, signal=number))

    def fail(self, attempt_id: str, message: str) -> None:
        """Has the attempt fail in an outside system."""
        self._end(attempt_id, Ending(EndingKind.FAILED, message=message))

    def vanish(self, attempt_id: str) -> None:
        """Ends the program so that nothing tells how."""
        self._end(attempt_id, Ending(EndingKind.VANISHED))

    def time_out(self, attempt_id: str) -> None:
        """Ends the program at its time limit."""
        ending = Ending(EndingKind.TIMED_OUT, signal=signal.SIGINT, message="Still running.")
        self._end(attempt_id, ending)

    def refuse(self, attempt_id: str, refusal: Exception) -> None:
        """Has every launch of the attempt fail with this."""
        self._refusals[attempt_id] = refusal

    def fail_next(self, operation: str, error: Exception | None = None) -> None:
        """Has the next `launch`, `poll`, `stop` or `forget` fail, once per call of this."""
        self._failures[operation].append(error or FakeFailure(f"No {operation} just now."))

    async def enter(self, operation: str) -> None:
        """What every operation of an executor begins with."""
        await self.is_open.wait()
        if operation in self.broken:
            raise self.broken[operation]
        if self._failures[operation]:
            raise self._failures[operation].pop(0)

    def launch(self, launch: Launch) -> None:
        self.launched.append(launch)
        if launch.attempt_id in self._known:
            return
        if launch.attempt_id in self._refusals:
            raise self._refusals[launch.attempt_id]
        self._known.add(launch.attempt_id)
        self.executions[launch.attempt_id] += 1
        self._programs[launch.attempt_id].launch = launch

    def look(self, watch: Watch) -> Sighting:
        attempt_id = watch.launch.attempt_id
        if attempt_id not in self._known:
            ending = Ending(EndingKind.VANISHED, message="Nothing is known of it.", values={})
            return Sighting(is_running=False, ending=ending)
        program = self._programs[attempt_id]
        offset = min(watch.log_offset, len(program.log))
        return Sighting(
            is_running=program.is_started and program.ending is None,
            rows=program.rows[watch.cursor : watch.cursor + MOST_ROWS + 1],
            log_offset=offset,
            log=program.log[offset:],
            ending=program.ending,
        )

    def stop(self, attempt_id: str, kind: StopKind) -> None:
        program = self._programs[attempt_id]
        program.stops.append(kind)
        if attempt_id not in self._known:
            self._known.add(attempt_id)
            message = "Stopped before it was started."
            program.ending = Ending(EndingKind.NOT_STARTED, message=message, values={})
        elif kind is StopKind.AT_ONCE:
            self.kill(attempt_id)
        elif not program.is_stubborn:
            self.kill(attempt_id, signal.SIGINT)

    def forget(self, attempt_id: str) -> None:
        if attempt_id not in self._known:
            return
        if self._programs[attempt_id].ending is None:
            raise StillRunning(f"{attempt_id} has not ended. Stop it before it is forgotten.")
        self._known.discard(attempt_id)
        del self._programs[attempt_id]

    def list_known(self) -> list[str]:
        """Returns the ids of all attempts that were launched and not forgotten."""
        return sorted(self._known)

    def _end(self, attempt_id: str, ending: Ending) -> None:
        program = self._programs[attempt_id]
        if program.ending is not None or program.is_immortal:
            return
        values = {name: value for row in program.rows for name, value in row.values.items()}
        program.ending = Ending(
            ending.kind, ending.exit_code, ending.signal, ending.message, values=values
        )


class FakeExecutor:
    """Launches attempts in a world."""

    name = "fake"

    def __init__(self, world: FakeWorld, *, is_shared: bool = False) -> None:
        self.is_shared = is_shared
        self._world = world

    async def launch(self, launch: Launch) -> str:
        await self._world.enter("launch")
        self._world.launch(launch)
        return f"fake:{launch.attempt_id}"

    async def poll(self, watches: Sequence[Watch]) -> Mapping[str, Sighting]:
        await self._world.enter("poll")
        return {watch.launch.attempt_id: self._world.look(watch) for watch in watches}

    async def stop(self, launch: Launch, kind: StopKind) -> None:
        await self._world.enter("stop")
        self._world.stop(launch.attempt_id, kind)

    async def forget(self, launch: Launch) -> None:
        await self._world.enter("forget")
        if not self.is_shared or self._world.program(launch.attempt_id).ending is not None:
            self._world.forget(launch.attempt_id)

    async def list_left_over(self, known: Collection[str]) -> list[str]:
        return [attempt_id for attempt_id in self._world.list_known() if attempt_id not in known]

    async def tend(self) -> None:
        self._world.tending += 1
        try:
            await asyncio.Event().wait()
        finally:
            self._world.tending -= 1

    def url(self, external_ref: str) -> str | None:
        return f"https://example.org/{external_ref}"

    def classify(self, error: Exception) -> ErrorKind:
        is_transient = isinstance(error, FakeFailure | OSError | StillRunning)
        return ErrorKind.TRANSIENT if is_transient else ErrorKind.PERMANENT
