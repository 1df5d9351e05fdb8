"""The executors of a worker, made by name."""

import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from service.cli.failures import CannotStart, WrongUse
from service.schedulers.executors.base import Executor, StillRunning
from service.schedulers.executors.mirrors import SweepMirror
from service.schedulers.executors.process.executor import (
    ATTEMPTS,
    ATTEMPTS_OF_RUNS,
    ProcessExecutor,
    ProcessSettings,
)
from service.schedulers.orphans import end_orphans
from service.schedulers.workdir import Workdir
from service.settings import (
    PACKAGES,
    WorkerSettings,
    has_flyte_settings,
    list_available_executors,
)

if TYPE_CHECKING:
    from service.schedulers.executors.connection.connection import SystemConnection
    from service.schedulers.executors.connection.system import OutsideSystem

_MIRRORED = ("wandb", "wandb-launch", "wandb-agent")
_NO_SETTINGS = (
    "There are no settings of Flyte. Set FLYTE_PLATFORM_URL, or let FLYTECTL_CONFIG name a "
    "configuration file that exists."
)

_log = structlog.get_logger(__name__)

_FOLDERS_OF_ATTEMPTS = {"process": ATTEMPTS, "wandb": ATTEMPTS_OF_RUNS}
"""Below the workdir, by the executors whose attempts are processes of this machine."""


@dataclass(frozen=True, slots=True)
class OpenExecutors:
    """The executors of a worker.

    Attributes:
        mirrors: Outside systems that have sweeps of their own, by the names of the executors that
            know them.
    """

    executors: Sequence[Executor]
    mirrors: Mapping[str, SweepMirror]


@asynccontextmanager
async def open_executors(
    settings: WorkerSettings, workdir: Workdir
) -> AsyncIterator[OpenExecutors]:
    """Those that the settings name; what they have open is closed at the end.

    What others have left running in the workdir is ended first.

    Raises:
        CannotStart: There is no such executor, its package is missing, or what another one has left
            running does not end.
    """
    check_executors(settings.executors, list_available_executors())
    making = _Making(settings, workdir)
    await making.end_what_others_left(settings.executors)
    try:
        yield OpenExecutors(
            [making.make(name) for name in settings.executors],
            making.make_mirrors(settings.executors),
        )
    finally:
        await making.close()


def check_executors(names: Sequence[str], available: Collection[str]) -> None:
    """Makes sure that a worker can have executors of these names.

    Raises:
        WrongUse: There is none of that name.
        CannotStart: Its package is missing.
    """
    for name in names:
        if name not in PACKAGES:
            known = ", ".join(PACKAGES)
            raise WrongUse(f"There is no executor {name!r}; what there is: {known}.")
        if name not in available:
            raise CannotStart(
                f"The executor {name!r} needs the package {PACKAGES[name]} beside the worker: "
                f"pip install 'asktell-server[{name.partition('-')[0]}]'."
            )


def find_interpreter(environ: Mapping[str, str]) -> str:
    """Python of the environment that the worker was started in, else the worker's own."""
    if environ.get("VIRTUAL_ENV") or environ.get("CONDA_PREFIX"):
        return shutil.which("python", path=environ.get("PATH")) or sys.executable
    return sys.executable


class _Making:
    """What concerns an outside system is imported where it is wanted, and shares one connection."""

    def __init__(self, settings: WorkerSettings, workdir: Workdir) -> None:
        self._settings = settings
        self._workdir = workdir
        self._connections: dict[str, SystemConnection] = {}

    def make(self, name: str) -> Executor:
        match name:
            case "wandb":
                return self._make_wandb()
            case "wandb-launch":
                return self._make_wandb_launch()
            case "wandb-agent":
                return self._make_wandb_agent()
            case "flyte":
                return self._make_flyte()
            case _:
                return self._make_process(_FOLDERS_OF_ATTEMPTS["process"])

    def make_mirrors(self, names: Sequence[str]) -> dict[str, SweepMirror]:
        mirrored = [name for name in names if name in _MIRRORED]
        if not mirrored:
            return {}
        from service.schedulers.executors.wandb.sweeps.mirror import WandbMirror

        return dict.fromkeys(mirrored, WandbMirror(self._connect_to_wandb(), os.environ))

    async def end_what_others_left(self, names: Sequence[str]) -> None:
        """Needs no package: whatever launched them, they are processes."""
        for name, attempts in _FOLDERS_OF_ATTEMPTS.items():
            if name not in names:
                try:
                    await end_orphans(self._make_process(attempts), self._workdir)
                except StillRunning as error:
                    raise CannotStart(
                        f"{error} Start the worker again once it is gone, or with the executor "
                        f"{name!r}, which launched it."
                    ) from None

    async def close(self) -> None:
        for connection in self._connections.values():
            await connection.close()

    def _make_process(self, attempts: str) -> ProcessExecutor:
        settings = self._settings
        return ProcessExecutor(
            ProcessSettings(
                workdir=self._workdir.path,
                host=socket.gethostname(),
                allowed=settings.allow_programs or (f"{self._workdir.path}/*",),
                environment=os.environ,
                interpreter=settings.python or find_interpreter(os.environ),
                passed=settings.pass_env,
                attempts=attempts,
            )
        )

    def _make_wandb(self) -> Executor:
        from service.schedulers.executors.wandb.local.executor import (
            WandbExecutor,
            WandbSettings,
        )
        from service.schedulers.executors.wandb.runs.run_api import WandbApi

        return WandbExecutor(
            self._make_process(_FOLDERS_OF_ATTEMPTS["wandb"]),
            WandbApi(self._connect_to_wandb()),
            WandbSettings(
                self._workdir.path, os.environ, was_preempted=self._workdir.was_preempted
            ),
        )

    def _make_wandb_launch(self) -> Executor:
        from service.schedulers.executors.wandb.queue.launch_api import LaunchQueueApi
        from service.schedulers.executors.wandb.queue.launch_executor import WandbLaunchExecutor
        from service.schedulers.executors.wandb.runs.run_api import WandbApi
        from service.schedulers.executors.wandb.runs.run_settings import RunSettings

        connection = self._connect_to_wandb()
        return WandbLaunchExecutor(
            WandbApi(connection), LaunchQueueApi(connection), RunSettings(os.environ)
        )

    def _make_wandb_agent(self) -> Executor:
        from service.schedulers.executors.wandb.agents.agent_api import AgentApi
        from service.schedulers.executors.wandb.agents.agent_executor import WandbAgentExecutor
        from service.schedulers.executors.wandb.runs.run_api import WandbApi
        from service.schedulers.executors.wandb.runs.run_settings import RunSettings

        connection = self._connect_to_wandb()
        return WandbAgentExecutor(
            WandbApi(connection), AgentApi(connection), RunSettings(os.environ)
        )

    def _make_flyte(self) -> Executor:
        from service.schedulers.executors.flyte.api import FlyteApi
        from service.schedulers.executors.flyte.executor import FlyteExecutor, FlyteSettings
        from service.schedulers.executors.flyte.system import DEFAULT_ENDPOINT, describe_flyte

        if not has_flyte_settings():
            _log.warning("flyte.not_configured", endpoint=DEFAULT_ENDPOINT, reason=_NO_SETTINGS)
        connection = self._connect(describe_flyte(os.environ))
        return FlyteExecutor(
            FlyteApi(connection), FlyteSettings(url_for_jobs=self._settings.url_for_jobs)
        )

    def _connect_to_wandb(self) -> "SystemConnection":
        from service.schedulers.executors.wandb.connection.system import describe_wandb

        return self._connect(describe_wandb(os.environ))

    def _connect(self, system: "OutsideSystem") -> "SystemConnection":
        from service.schedulers.executors.connection.connection import SystemConnection

        if system.name not in self._connections:
            self._connections[system.name] = SystemConnection(system)
        return self._connections[system.name]
