"""Runs of W&B, read by the SDK's public API: the only module of the commands that imports wandb."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from service.cli.failures import CannotStart, WrongUse

if TYPE_CHECKING:
    from wandb import Api
    from wandb.apis.public import Run

ENDED_STATES = ("finished", "failed", "crashed", "killed")

_PATH = re.compile(r"([^/]+)/([^/]+)(?:/([^/]+))?")
_RUNS_PER_REQUEST = 100


@dataclass(frozen=True, slots=True)
class WandbPath:
    """A project, or one of its sweeps."""

    entity: str
    project: str
    sweep: str | None

    @classmethod
    def parse(cls, text: str) -> "WandbPath":
        """Reads `ENTITY/PROJECT` or `ENTITY/PROJECT/SWEEP`.

        Raises:
            WrongUse: It is neither.
        """
        match = _PATH.fullmatch(text)
        if match is None:
            raise WrongUse(
                f"--from-wandb: write ENTITY/PROJECT or ENTITY/PROJECT/SWEEP, not {text}."
            )
        return cls(*match.groups())

    def __str__(self) -> str:
        return "/".join(filter(None, (self.entity, self.project, self.sweep)))


@dataclass(frozen=True, slots=True)
class WandbRun:
    """A run as W&B has it.

    Attributes:
        config: Without W&B's own entries.
        created_at, heard_at: As W&B writes times; the latter is that of its last heartbeat.
    """

    path: str
    run_id: str
    url: str
    state: str
    config: Mapping[str, Any]
    summary: Mapping[str, Any]
    created_at: str
    heard_at: str | None


class WandbReader:
    """Asks W&B, as whoever's key the SDK finds."""

    def __init__(self, api: "Api", path: WandbPath) -> None:
        self._api = api
        self._path = path

    def read_sweep_config(self) -> Mapping[str, Any]:
        """The configuration of the sweep."""
        # The SDK has no types for it.
        find_sweep: Any = self._api.sweep
        config: Mapping[str, Any] = find_sweep(str(self._path)).config
        return config

    def list_runs(self, filters: Mapping[str, Any]) -> list[WandbRun]:
        """The runs that match, from the oldest on."""
        sweep = {} if self._path.sweep is None else {"sweep": self._path.sweep}
        parts = [part for part in (sweep, filters) if part]
        runs = self._api.runs(
            f"{self._path.entity}/{self._path.project}",
            filters={"$and": parts} if parts else {},
            order="+created_at",
            per_page=_RUNS_PER_REQUEST,
            lazy=False,
        )
        return [_describe(run) for run in runs]

    def read_history(self, run: WandbRun, keys: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """All rows that have any of the keys, by step; none is left out."""
        from service.schedulers.executors.wandb.runs.run_operations import read_history

        first, is_all = 0, False
        while not is_all:
            part = read_history(
                self._api,
                entity=self._path.entity,
                project=self._path.project,
                run_id=run.run_id,
                keys=keys,
                min_step=first,
                max_step=None,
            )
            yield from part["rows"]
            first, is_all = part["read_to"] + 1, part["is_all"]


@contextmanager
def open_wandb(path: WandbPath) -> Iterator[WandbReader]:
    """Opens W&B by the variables and the login that its own commands go by.

    Raises:
        CannotStart: wandb is not installed, or W&B is away or refuses; in the block too.
    """
    with TemporaryDirectory(prefix="asktell-wandb-") as folder:
        # Whatever reads a run makes a folder for it.
        os.environ["WANDB_DIR"] = folder
        try:
            import wandb
        except ImportError as error:
            raise CannotStart(
                "The package wandb is not installed here. Install it: "
                "pip install 'asktell-server[wandb]'."
            ) from error
        with _explaining():
            yield WandbReader(wandb.Api(), path)


@contextmanager
def _explaining() -> Iterator[None]:
    from wandb.errors import Error
    from wandb.sdk.lib.service.service_connection import WandbApiFailedError

    from service.schedulers.executors.wandb.connection.errors import explain_error
    from service.schedulers.executors.wandb.connection.system import list_secrets

    try:
        yield
    except (Error, WandbApiFailedError, OSError, ValueError) as error:
        secrets = list_secrets(
            os.environ.get("WANDB_API_KEY"), os.environ.get("WANDB_BASE_URL", "")
        )
        message = explain_error(error).redact(secrets).message
        raise CannotStart(f"W&B cannot be read: {message}") from error


def _describe(run: "Run") -> WandbRun:
    config = {key: value for key, value in run.config.items() if not key.startswith("_")}
    return WandbRun(
        path="/".join((run.entity, run.project, run.id)),
        run_id=run.id,
        url=run.url,
        state=run.state.lower(),
        config=config,
        summary=run.summary_metrics,
        created_at=run.created_at,
        heard_at=run.heartbeat_at,
    )
