"""The processes of the process stage, with the logs of runs that they seem to be.

wandb itself takes seconds to start, and what it does is tested in tests/wandb.
"""

import os
from dataclasses import replace
from pathlib import Path

from service.schedulers.executors.base import Executor, Launch
from service.schedulers.executors.connection.connection import SystemConnection
from service.schedulers.executors.process.executor import (
    ATTEMPTS_OF_RUNS,
    ProcessExecutor,
    ProcessSettings,
)
from service.schedulers.executors.wandb.connection.system import describe_wandb
from service.schedulers.executors.wandb.local.executor import WandbExecutor, WandbSettings
from service.schedulers.executors.wandb.runs.run_api import WandbApi
from tests.contracts.process_stage import ProcessStage
from tests.run_logs import RunLogWriter


class WandbStage(ProcessStage):
    """Runs that are recorded offline: W&B is never asked."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._attempts = folder / ATTEMPTS_OF_RUNS

    def open(self) -> Executor:
        processes = ProcessExecutor(
            ProcessSettings(
                workdir=self._folder,
                host="here",
                allowed=[f"{self._folder}/*"],
                environment=os.environ,
                attempts=ATTEMPTS_OF_RUNS,
            )
        )
        return WandbExecutor(
            processes,
            WandbApi(SystemConnection(describe_wandb({}))),
            WandbSettings(self._folder, {}, was_preempted=lambda _: False),
        )

    def report(self, attempt_id: str, value: float, step: int) -> None:
        self._wait_for_program(attempt_id)
        self._open_log(attempt_id).log({"accuracy": value}, step=step)

    def end(self, attempt_id: str, exit_code: int) -> None:
        self._wait_for_program(attempt_id)
        log = self._open_log(attempt_id)
        if log.folder.exists():
            log.end(exit_code)
        super().end(attempt_id, exit_code)

    def _open_log(self, attempt_id: str) -> RunLogWriter:
        return RunLogWriter(self._attempts / attempt_id / "runs", attempt_id)

    def _build(self, attempt_id: str, program: str) -> Launch:
        launch = super()._build(attempt_id, program)
        return replace(
            launch,
            run_id=attempt_id,
            study="mnist",
            attempt=1,
            directions=("maximize",),
            arguments={**launch.arguments, "mode": "offline", "value": "last"},
        )
