"""The process that calls an outside system, as the worker sees it: started, asked, ended."""

import asyncio
import json
import os
import select
import shutil
import signal
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any, Literal

from service.schedulers.executors.connection.system import OutsideSystem

# An answer is one line, and may hold the history of a run.
_MAX_ANSWER_BYTES = 256 << 20


class ChildGone(Exception):
    """The process has ended, or is of no use any more and was killed; the message says how."""


class ChildRefused(Exception):
    """The process can never start; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the process says to a call.

    Attributes:
        kind: "done"; "refused"; "undone", though the system answers; "throttled": it wants to be
            asked less often; or "away": the system is, or has no time.
        value: The result, or what to tell people.
        is_about_key: Of a refusal: the system does not know who asks, or does not let them.
        seconds: How long it took.
    """

    kind: Literal["done", "refused", "undone", "throttled", "away"]
    value: Any
    is_about_key: bool
    seconds: float


class ConnectionChild:
    """A running process; it ends when this process does.

    Args:
        folder: What it has for itself, if anything; it goes with the process.
    """

    def __init__(self, process: asyncio.subprocess.Process, folder: str | None) -> None:
        self._process = process
        self._folder = folder
        self._asked = 0

    @classmethod
    async def start(cls, system: OutsideSystem, *, start_seconds: float) -> "ConnectionChild":
        """Returns once the process is ready to be asked.

        Raises:
            ChildGone: It did not come that far.
            ChildRefused: It never will.
        """
        try:
            with tempfile.TemporaryFile() as errors:
                return await cls._start(system, errors, start_seconds)
        except OSError as error:
            # Of this machine, such as a full disk.
            raise ChildGone(str(error)) from error

    @classmethod
    async def _start(
        cls, system: OutsideSystem, errors: IO[bytes], start_seconds: float
    ) -> "ConnectionChild":
        child = await cls._spawn(system, errors)
        try:
            async with asyncio.timeout(start_seconds):
                await child._wait_until_ready()
        except TimeoutError:
            await child.kill()
            raise ChildGone(f"It was not ready within {start_seconds:g} s.") from None
        except ChildGone as error:
            last_line = system.redact(_read_last_line(errors))
            raise ChildGone(last_line or str(error)) from None
        except ChildRefused as error:
            await child.kill()
            raise ChildRefused(system.redact(str(error))) from None
        except BaseException:
            await child.kill()
            raise
        return child

    @classmethod
    async def _spawn(cls, system: OutsideSystem, errors: IO[bytes]) -> "ConnectionChild":
        folder, variables = _make_folder(system)
        try:
            process = await asyncio.create_subprocess_exec(
                *system.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env={**system.environment, **variables},
                limit=_MAX_ANSWER_BYTES,
                # Not the terminal's signals: the worker says when it is to end.
                start_new_session=True,
            )
        except BaseException:
            _remove(folder)
            raise
        return cls(process, folder)

    @property
    def has_ended(self) -> bool:
        """Whether another one has to be started."""
        assert self._process.stdin is not None
        if self._process.returncode is not None or self._process.stdin.is_closing():
            return True
        # asyncio hears of an end a little later than somebody may ask.
        pipe = select.poll()
        pipe.register(self._process.stdin.get_extra_info("pipe"), 0)
        return bool(pipe.poll(0))

    async def ask(self, operation: str, arguments: Mapping[str, Any], seconds: float) -> Answer:
        """Has an operation done; not to be cancelled, and not before the last one is answered.

        Args:
            seconds: How long somebody will wait for the answer.

        Raises:
            ChildGone: It may have been done.
        """
        self._asked += 1
        request = {
            "id": self._asked,
            "operation": operation,
            "arguments": dict(arguments),
            "seconds": seconds,
        }
        assert self._process.stdin is not None
        with suppress(ConnectionError):
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            await self._process.stdin.drain()
        match await self._read():
            case {
                "id": self._asked,
                "kind": "done" | "refused" | "undone" | "throttled" | "away" as kind,
                "value": value,
                "is_about_key": bool(is_about_key),
                "seconds": float(seconds),
            }:
                return Answer(kind, value, is_about_key, seconds)
        raise await self._give_up()

    async def kill(self) -> None:
        """Returns once it is gone."""
        # Not by asyncio's `kill`: it takes the status of one that has just ended from its watcher.
        with suppress(ProcessLookupError):
            if self._process.returncode is None:
                os.kill(self._process.pid, signal.SIGKILL)
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        await asyncio.to_thread(_remove, self._folder)

    async def end(self, farewell_seconds: float) -> None:
        """Lets it end by itself, for so long."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(farewell_seconds):
                await self._process.wait()
        await self.kill()

    async def _wait_until_ready(self) -> None:
        match await self._read():
            case {"ready": True}:
                return
            case {"refused": str(message)}:
                raise ChildRefused(message)
        raise await self._give_up()

    async def _read(self) -> Any:
        assert self._process.stdout is not None
        try:
            line = await self._process.stdout.readline()
        except ValueError:
            raise await self._give_up() from None
        if not line:
            await self.kill()
            raise ChildGone(f"It ended with status {self._process.returncode}.")
        try:
            return json.loads(line)
        except ValueError:
            raise await self._give_up() from None

    async def _give_up(self) -> ChildGone:
        await self.kill()
        return ChildGone("It said something that is no answer, and was killed.")


def _make_folder(system: OutsideSystem) -> tuple[str | None, dict[str, str]]:
    if system.folder_variable is None:
        return None, {}
    folder = tempfile.mkdtemp(prefix="asktell-connection-")
    return folder, {system.folder_variable: folder}


def _remove(folder: str | None) -> None:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def _read_last_line(errors: IO[bytes]) -> str:
    errors.seek(0)
    return errors.read().decode(errors="replace").strip().rpartition("\n")[2]
