"""Real processes for the contract of executors: shell scripts that obey a fifo."""

import json
import os
import signal
from contextlib import suppress
from pathlib import Path

from service.schedulers.executors.base import Executor, Launch
from service.schedulers.executors.process.executor import ProcessExecutor, ProcessSettings
from service.schedulers.executors.process.marks import kill_marked

_SCRIPT = """#!/bin/sh
exec 3<>"$STAGE/$ASKTELL_ATTEMPT_ID.orders"
echo started >> "$STAGE/$ASKTELL_ATTEMPT_ID.executions"
while read -r order rest <&3; do
    case $order in
        print) echo "$rest" ;;
        exit) exit "$rest" ;;
    esac
done
"""


class ProcessStage:
    """A worker's folder and a script in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._attempts = folder / "attempts"
        self._script = folder / "program.sh"
        self._script.write_text(_SCRIPT)
        self._script.chmod(0o755)

    def open(self) -> Executor:
        return ProcessExecutor(
            ProcessSettings(
                workdir=self._folder,
                host="here",
                allowed=[f"{self._folder}/*"],
                environment=os.environ,
            )
        )

    def build_launch(self, attempt_id: str) -> Launch:
        # Made here, so that an order may be written before the program reads the first one.
        with suppress(FileExistsError):
            os.mkfifo(self._folder / f"{attempt_id}.orders")
        return self._build(attempt_id, "./program.sh")

    def build_refused(self, attempt_id: str) -> Launch:
        return self._build(attempt_id, "/bin/sh")

    def report(self, attempt_id: str, value: float, step: int) -> None:
        self._order(attempt_id, f"print accuracy={value} step={step}")

    def print(self, attempt_id: str, text: str) -> None:
        self._order(attempt_id, f"print {text}")

    def end(self, attempt_id: str, exit_code: int) -> None:
        self._order(attempt_id, f"exit {exit_code}")

    def vanish(self, attempt_id: str) -> None:
        started = json.loads((self._attempts / attempt_id / "started").read_text())
        os.kill(started["session"], signal.SIGKILL)

    def count_executions(self, attempt_id: str) -> int:
        executions = self._folder / f"{attempt_id}.executions"
        return len(executions.read_text().splitlines()) if executions.exists() else 0

    def close(self) -> None:
        """Ends whatever a test has left."""
        for attempt in self._attempts.glob("*"):
            kill_marked(str(attempt))

    def _build(self, attempt_id: str, program: str) -> Launch:
        environment = {"ASKTELL_ATTEMPT_ID": attempt_id, "STAGE": str(self._folder)}
        return Launch(
            attempt_id,
            metrics=("accuracy",),
            arguments={"command": [program]},
            environment=environment,
        )

    def _order(self, attempt_id: str, order: str) -> None:
        with open(self._folder / f"{attempt_id}.orders", "r+b", buffering=0) as orders:
            orders.write(f"{order}\n".encode())
            # A fifo forgets what was written once nobody has it open.
            self._wait_for_program(attempt_id)

    def _wait_for_program(self, attempt_id: str) -> None:
        while self.count_executions(attempt_id) == 0:
            os.sched_yield()
