"""A server, workers as people start them, and a stand-in for W&B."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from service.storage.database import Database
from tests.acceptance.server_process import ServerProcess, running
from tests.acceptance.worker_world import WorkerWorld
from tests.wandb_backend import Backend

PROGRAM = Path(__file__).with_name("logging_program.py")
PROJECT = "digits"


class WandbWorld(WorkerWorld):
    """One machine with Asktell on it.

    Attributes:
        backend: What workers take for W&B unless they are told otherwise.
    """

    def __init__(self, server: ServerProcess, folder: Path, backend: Backend) -> None:
        super().__init__(server, folder)
        self.backend = backend

    def start_worker(
        self, name: str, *, queue: str = "default", environment: Mapping[str, str] | None = None
    ) -> None:
        """A worker, unless it runs; the same as before if it was started before.

        Args:
            environment: Of W&B; by default that of the backend.
        """
        isolated = self.isolate(self.make_home(name), environment)
        self.run_worker(name, isolated, {"--queue": queue, "--slots": "2"})

    def isolate(self, home: Path, environment: Mapping[str, str] | None = None) -> dict[str, str]:
        """A whole environment whose W&B is this one, with nobody's folders or key."""
        folders = {f"WANDB_{each}_DIR": str(home / "own") for each in ("CACHE", "CONFIG", "DATA")}
        own = self.backend.build_environment() if environment is None else environment
        return {"PATH": os.environ["PATH"], "HOME": str(home), **folders, **own}


@contextmanager
def open_wandb_world(folder: Path, database: Database) -> Iterator[WandbWorld]:
    """A world with a server; workers are up to the test.

    At its end W&B must not have been asked for what the stand-in does not know.
    """
    server = ServerProcess(database, folder / "server")
    with running(server), Backend() as backend:
        world = WandbWorld(server, folder, backend)
        try:
            yield world
        finally:
            world.close()
        assert backend.unknown == [], "Teach tests/wandb_backend what the SDK asked for."
