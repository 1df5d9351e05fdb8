"""The worker's connection to the stand-in, and the processes behind it."""

from pathlib import Path

from service.schedulers.executors.connection.connection import ConnectionPace, SystemConnection
from service.schedulers.executors.process.processes import list_processes
from service.schedulers.executors.wandb.connection.system import describe_wandb
from tests.this_machine import is_alive
from tests.wandb_backend import Backend


def build_worker_environment(backend: Backend, folder: Path) -> dict[str, str]:
    """Of a worker that has its key in the environment, and nobody's home."""
    return {
        **{"HOME": str(folder), "ASKTELL_TOKEN": "none of wandb's business"},
        **{f"WANDB_{name}_DIR": str(folder) for name in ("CACHE", "CONFIG", "DATA")},
        **backend.build_environment(),
    }


def open_connection(environment: dict[str, str]) -> SystemConnection:
    """One that never pauses."""
    pace = ConnectionPace(calls_per_second=1000.0)
    return SystemConnection(describe_wandb(environment), pace=pace, chance=lambda: 0.0)


def list_descendants(pid: int) -> list[int]:
    processes = list(list_processes())
    found = [pid]
    for parent in found:
        found += [process.pid for process in processes if process.parent == parent]
    return found[1:]


def read_commands(pids: list[int]) -> list[str]:
    """Returns the command lines of those that are still there."""
    return [Path(f"/proc/{pid}/cmdline").read_text() for pid in pids if is_alive(pid)]
