"""The training processes of the demo: several runs of `train.py` on one study."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from processes import DemoFailed, read_last_lines, start_process, stop_processes
from server import Service

TRAIN = Path(__file__).with_name("train.py")


@dataclass(frozen=True, slots=True)
class Training:
    """Training processes by the file that each writes its output to."""

    processes: Mapping[Path, subprocess.Popen[bytes]]

    def is_finished(self) -> bool:
        """Whether all have ended well.

        Raises:
            DemoFailed: One of them failed; the message has its last lines.
        """
        codes = {log: process.poll() for log, process in self.processes.items()}
        for log, code in codes.items():
            if code:
                raise DemoFailed(f"{log.stem} failed (exit code {code}):\n{read_last_lines(log)}")
        return None not in codes.values()


@contextmanager
def open_training(
    service: Service, study_name: str, n_processes: int, n_trials: int
) -> Iterator[Training]:
    """Start the processes; those that still run at the end are interrupted.

    An interrupted process tells that its trial failed, hence a service that still answers.
    """
    processes: dict[Path, subprocess.Popen[bytes]] = {}
    try:
        for number in range(1, n_processes + 1):
            log = service.data_dir / "demo" / f"train-{number}.log"
            processes[log] = start_process(
                [sys.executable, TRAIN, study_name, str(n_trials)],
                log,
                environment={
                    "ASKTELL_URL": service.address,
                    "ASKTELL_DATA_DIR": str(service.data_dir),
                    "OMP_NUM_THREADS": "1",
                },
            )
        yield Training(processes)
    finally:
        stop_processes(list(processes.values()), signal.SIGINT, grace_seconds=10)
