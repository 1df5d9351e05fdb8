"""The process that has wandb, seen from the worker: started, asked one thing at a time, ended."""

import asyncio
import json
import select
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import IO, Any, Literal

# -P: a folder named wandb, as wandb makes them, must not hide the package.
CHILD_COMMAND = (
    *(sys.executable, "-P", "-m"),
    "service.schedulers.executors.wandb.connection.process",
)

# An answer is one line, and may hold the history of a run.
_MAX_ANSWER_BYTES = 256 << 20
_MAX_MESSAGE_BYTES = 500

_PASSED = (
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_*", "TZ", "TMPDIR", "XDG_*", "NETRC"),
    *("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "SSL_CERT_*", "*_CA_BUNDLE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "WANDB_*"),
)
# A run that the worker itself is part of is nothing to this process.
_RUNS_OWN = (
    *("WANDB_SERVICE", "WANDB_MODE", "WANDB_DISABLED", "WANDB_DEBUG", "WANDB_DIR", "WANDB_RUN_*"),
    *("WANDB_SWEEP_*", "WANDB_RESUME", "WANDB_CONFIG", "WANDB_CONFIG_[0-9]*", "WANDB_LAUNCH*"),
)
_SET = {
    # What goes wrong here is not to be told to third parties.
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_SILENT": "true",
    # wandb-core would try 20 times, for minutes, and never say why. None at all it takes for 20.
    "WANDB_X_GRAPHQL_RETRY_MAX": "1",
}
_HTTP_TIMEOUT = "WANDB_HTTP_TIMEOUT"
_HTTP_TIMEOUT_SECONDS = "10"


class ChildGone(Exception):
    """The process has ended, or is of no use any more and was killed; the message says how."""


class ChildRefused(Exception):
    """The process can never start; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the process says to a call.

    Attributes:
        kind: "done"; "refused", for good; or "away", W&B is, or has no time.
        value: The result, or what to tell people.
        seconds: How long it took.
    """

    kind: Literal["done", "refused", "away"]
    value: Any
    seconds: float


def build_child_environment(worker: Mapping[str, str]) -> dict[str, str]:
    """Returns what the process needs of a worker's environment: keys, proxies, settings of W&B."""
    kept = {name: value for name, value in worker.items() if _is_passed(name)}
    return {_HTTP_TIMEOUT: _HTTP_TIMEOUT_SECONDS} | kept | _SET


class ConnectionChild:
    """A running process; it ends when this process does.

    Args:
        folder: What it has for itself; it goes with the process.
    """

    def __init__(self, process: asyncio.subprocess.Process, folder: str) -> None:
        self._process = process
        self._folder = folder
        self._asked = 0

    @classmethod
    async def start(
        cls, command: Sequence[str], environment: Mapping[str, str], *, start_seconds: float
    ) -> "ConnectionChild":
        """Returns once the process is ready to be asked.

        Raises:
            ChildGone: It did not come that far.
            ChildRefused: It never will.
        """
        # wandb makes a folder for every run that it is asked about.
        folder = tempfile.mkdtemp(prefix="asktell-wandb-")
        with tempfile.TemporaryFile() as errors:
            try:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=errors,
                    env={**environment, "WANDB_DIR": folder},
                    limit=_MAX_ANSWER_BYTES,
                    # Not the terminal's signals: the worker says when it is to end.
                    start_new_session=True,
                )
            except OSError as error:
                shutil.rmtree(folder, ignore_errors=True)
                raise ChildGone(f"{command[0]}: {error.strerror}") from error
            child = cls(process, folder)
            try:
                async with asyncio.timeout(start_seconds):
                    await child._wait_until_ready()
            except TimeoutError:
                await child.kill()
                raise ChildGone(f"It was not ready within {start_seconds:g} s.") from None
            except ChildGone as error:
                raise ChildGone(_read_last_line(errors) or str(error)) from None
            except BaseException:
                await child.kill()
                raise
        return child

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

    async def ask(self, operation: str, arguments: Mapping[str, Any]) -> Answer:
        """Has an operation done; not to be cancelled, and not before the last one is answered.

        Raises:
            ChildGone: It may have been done.
        """
        self._asked += 1
        request = {"id": self._asked, "operation": operation, "arguments": dict(arguments)}
        assert self._process.stdin is not None
        with suppress(ConnectionError):
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            await self._process.stdin.drain()
        match await self._read():
            case {
                "id": self._asked,
                "kind": "done" | "refused" | "away" as kind,
                "value": value,
                "seconds": float(seconds),
            }:
                return Answer(kind, value, seconds)
        raise await self._give_up()

    async def kill(self) -> None:
        """Returns once it is gone."""
        with suppress(ProcessLookupError):
            self._process.kill()
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

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


def _is_passed(name: str) -> bool:
    if any(fnmatchcase(name, pattern) for pattern in _RUNS_OWN):
        return False
    return any(fnmatchcase(name, pattern) for pattern in _PASSED)


def _read_last_line(errors: IO[bytes]) -> str:
    size = errors.seek(0, 2)
    errors.seek(max(0, size - _MAX_MESSAGE_BYTES))
    return errors.read().decode(errors="replace").strip().rpartition("\n")[2]
