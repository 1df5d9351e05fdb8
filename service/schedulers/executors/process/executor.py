"""Launches attempts as processes of the machine that the worker runs on."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from service.domain.attempts import parse_attempt_id
from service.schedulers.executors.base import (
    ErrorKind,
    Launch,
    LaunchRefused,
    Sighting,
    StillRunning,
    StopKind,
    Watch,
)
from service.schedulers.executors.process import folders
from service.schedulers.executors.process.commands import Command, CommandContext, build_command
from service.schedulers.executors.process.environment import build_environment
from service.schedulers.executors.process.launching import (
    Probe,
    explain,
    is_settled,
    start_supervisor,
)
from service.schedulers.executors.process.looking import (
    end_left_overs,
    give_up,
    is_at_work,
    look,
)
from service.schedulers.executors.process.marks import MARK, build_mark
from service.schedulers.executors.process.metric_files import FIRST, Position
from service.schedulers.executors.process.programs import AllowedPrograms, check_program

ATTEMPTS = "attempts"
"""Below a workdir."""

ATTEMPTS_OF_RUNS = f"{ATTEMPTS}/wandb"
"""The same of attempts that are runs of W&B too."""

KEPT_RUNS = "wandb"
"""Below a workdir: what is kept of attempts that were runs of W&B. Programs that are processes
only may leave theirs there too."""

_FORGOTTEN = ".forgotten"
_DEFAULT_STOP_SECONDS = 15.0
_MOST_BLIND_LOOKS = 100

_log = structlog.get_logger(__name__)


def no_probe(point: str) -> None:
    """The probe of production: nothing happens."""


def furnish_nothing(folder: str) -> None:
    """Programs that are only programs need nothing more in their attempts' folders."""


@dataclass(frozen=True, slots=True)
class ProcessSettings:
    """What a worker's operator decides.

    Attributes:
        workdir: Programs run in it unless their sweep names a folder.
        host: Name of the machine.
        allowed: Patterns of programs, see `AllowedPrograms`.
        interpreter: What `${interpreter}` is.
        environment: The worker's own.
        passed: Names and patterns of variables that programs get besides the usual ones.
        kill_seconds: Between SIGTERM and SIGKILL.
        start_seconds: How long it may take until a supervisor is at work.
        attempts: Folder of attempts, `attempts` below the workdir or a folder in it. Each executor
            has one of its own.
    """

    workdir: Path
    host: str
    allowed: Sequence[str]
    environment: Mapping[str, str]
    interpreter: str = "python"
    passed: Sequence[str] = ()
    kill_seconds: float = 5.0
    start_seconds: float = 20.0
    attempts: str = ATTEMPTS


class ProcessExecutor:
    """Each attempt has a folder and a supervisor, which both outlive the worker."""

    name = "process"
    is_shared = False

    def __init__(self, settings: ProcessSettings, *, probe: Probe = no_probe) -> None:
        self._settings = settings
        self._workdir = settings.workdir.resolve()
        self._attempts = self._workdir / settings.attempts
        self._allowed = AllowedPrograms.from_patterns(settings.allowed)
        self._probe = probe
        self._positions: dict[str, Position] = {}
        self._blind_looks: dict[str, int] = {}
        self._children: set[int] = set()

    async def launch(
        self, launch: Launch, *, furnish: Callable[[str], None] = furnish_nothing
    ) -> str:
        """As any executor.

        Args:
            furnish: Puts what the program needs besides into the attempt's folder, which it is
                given. Called before the program is started, perhaps more than once.
        """
        try:
            await asyncio.to_thread(self._launch, launch, furnish)
        except OSError as error:
            explanation = explain(error, str(self._workdir))
            if explanation is None:
                raise
            raise OSError(explanation) from error
        return f"process:{self._settings.host}:{launch.attempt_id}"

    async def poll(self, watches: Sequence[Watch]) -> Mapping[str, Sighting]:
        return await asyncio.to_thread(self._poll, watches)

    async def stop(self, launch: Launch, kind: StopKind) -> None:
        await asyncio.to_thread(self._stop, launch.attempt_id, kind)

    async def forget(self, launch: Launch) -> None:
        await asyncio.to_thread(self._forget, launch.attempt_id)

    async def list_left_over(self, known: Collection[str]) -> list[str]:
        return await asyncio.to_thread(self._list_left_over, frozenset(known))

    async def tend(self) -> None:
        return None

    def url(self, external_ref: str) -> str | None:  # noqa: ARG002 (processes have no page)
        return None

    def classify(self, error: Exception) -> ErrorKind:
        is_transient = isinstance(error, OSError | StillRunning)
        return ErrorKind.TRANSIENT if is_transient else ErrorKind.PERMANENT

    def find_folder(self, attempt_id: str) -> str:
        """Returns where the folder of an attempt is, or would be.

        Raises:
            LaunchRefused: No attempt is named like that.
        """
        if parse_attempt_id(attempt_id) is None:
            raise LaunchRefused(f"{attempt_id!r} is no attempt's name.")
        return str(self._attempts / attempt_id)

    def _launch(self, launch: Launch, furnish: Callable[[str], None]) -> None:
        folder = self.find_folder(launch.attempt_id)
        if is_settled(folder):
            return
        environment = build_environment(
            self._settings.environment,
            self._settings.passed,
            {**launch.environment, MARK: build_mark(folder)},
        )
        command, directory = self._prepare(launch, folder, environment)
        folders.make_folder(folder)
        self._probe("folder-made")
        furnish(folder)
        if command.args_json is not None:
            folders.write_text(folder, folders.ARGS, command.args_json)
        folders.write_record(folder, folders.PLAN, self._build_plan(launch, command, directory))
        self._probe("plan-written")
        start_supervisor(
            folder,
            environment,
            start_seconds=self._settings.start_seconds,
            keep=self._children.add,
            probe=self._probe,
        )
        self._probe("started")

    def _prepare(
        self, launch: Launch, folder: str, environment: Mapping[str, str]
    ) -> tuple[Command, Path]:
        arguments = launch.arguments
        context = CommandContext(
            arguments.get("program"),
            self._settings.interpreter,
            environment,
            os.path.join(folder, folders.ARGS),
        )
        command = build_command(arguments.get("command"), launch.params, context)
        directory = self._workdir / (arguments.get("directory") or "")
        check_program(
            command,
            directory=directory,
            search_path=environment.get("PATH", os.defpath),
            allowed=self._allowed,
            outputs=[self._workdir / ATTEMPTS, self._workdir / KEPT_RUNS],
        )
        return command, directory

    def _build_plan(self, launch: Launch, command: Command, directory: Path) -> dict[str, Any]:
        stop_seconds = launch.arguments.get("stop_seconds")
        return {
            "argv": command.argv,
            "directory": str(directory),
            "metrics": launch.metrics,
            "step_metric": launch.arguments.get("step_metric"),
            "timeout_seconds": launch.arguments.get("timeout_seconds"),
            "stop_seconds": _DEFAULT_STOP_SECONDS if stop_seconds is None else stop_seconds,
            "kill_seconds": self._settings.kill_seconds,
        }

    def _poll(self, watches: Sequence[Watch]) -> dict[str, Sighting]:
        self._reap()
        sightings = {}
        for watch in watches:
            sighting = self._look(watch)
            if sighting is not None:
                sightings[watch.launch.attempt_id] = sighting
        return sightings

    def _look(self, watch: Watch) -> Sighting | None:
        """None if nothing can be seen now; one broken folder must not hide the others."""
        attempt_id = watch.launch.attempt_id
        near = self._positions.get(attempt_id, FIRST)
        try:
            sighting, position = look(self.find_folder(attempt_id), watch, near)
        except Exception as error:
            return self._look_blindly(watch, error)
        self._positions[attempt_id] = position
        if attempt_id in self._blind_looks:
            self._blind_looks[attempt_id] = 0
        return sighting

    def _look_blindly(self, watch: Watch, error: Exception) -> Sighting | None:
        attempt_id = watch.launch.attempt_id
        if attempt_id not in self._blind_looks:
            _log.warning("attempt.unreadable", attempt_id=attempt_id, reason=str(error))
        looks = self._blind_looks.get(attempt_id, 0) + 1
        self._blind_looks[attempt_id] = looks
        # Most troubles pass: the machine may be short of descriptors, here too.
        with suppress(Exception):
            if looks >= _MOST_BLIND_LOOKS:
                return give_up(self.find_folder(attempt_id), watch, error)
        return None

    def _stop(self, attempt_id: str, kind: StopKind) -> None:
        folder = self.find_folder(attempt_id)
        folders.make_folder(folder)
        if folders.has(folder, folders.EXIT):
            return
        if not folders.has(folder, folders.STARTED):
            with folders.try_lock(folder) as was_free:
                if was_free and not folders.has(folder, folders.STARTED):
                    folders.write_lasting_record(folder, folders.EXIT, _NEVER_STARTED)
                    return
        folders.mark(folder, folders.KILL if kind is StopKind.AT_ONCE else folders.STOP)
        folders.ring(folder)

    def _forget(self, attempt_id: str) -> None:
        folder = self.find_folder(attempt_id)
        if not os.path.isdir(folder):
            return
        if is_at_work(folder):
            raise StillRunning(f"{attempt_id} has not ended. Stop it before it is forgotten.")
        end_left_overs(folder)
        aside = self._set_aside(folder)
        self._probe("folder-renamed")
        shutil.rmtree(aside, ignore_errors=True)
        self._positions.pop(attempt_id, None)
        self._blind_looks.pop(attempt_id, None)
        self._reap()

    def _set_aside(self, folder: str) -> str:
        """From here on nobody finds the attempt, however much of it was removed."""
        forgotten = self._attempts / _FORGOTTEN
        forgotten.mkdir(mode=0o700, exist_ok=True)
        aside = tempfile.mkdtemp(dir=forgotten)
        with suppress(FileNotFoundError):
            os.rename(folder, os.path.join(aside, "attempt"))
        return aside

    def _list_left_over(self, known: frozenset[str]) -> list[str]:
        if not self._attempts.is_dir():
            return []
        shutil.rmtree(self._attempts / _FORGOTTEN, ignore_errors=True)
        names = sorted(entry.name for entry in self._attempts.iterdir())
        return [name for name in names if parse_attempt_id(name) and name not in known]

    def _reap(self) -> None:
        for pid in list(self._children):
            # Another thread may have been faster.
            with suppress(ChildProcessError):
                if os.waitpid(pid, os.WNOHANG)[0] == 0:
                    continue
            self._children.discard(pid)


_NEVER_STARTED: dict[str, Any] = {
    "kind": "not_started",
    "exit_code": None,
    "signal": None,
    "message": "Stopped before it was started.",
    "values": {},
}
