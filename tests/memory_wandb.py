"""W&B as a worker's connection shows it, in memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.schedulers.executors.connection.connection import (
    SystemAway,
    SystemRefused,
    SystemSilent,
)
from service.schedulers.executors.wandb.runs.run_api import WandbApi
from tests.wandb_backend.run_records import RunRecord

ENTITY = "acme"
_UNENDED_STATES = ("pending", "running", "preempting", "crashed")


@dataclass(slots=True, kw_only=True)
class MemoryRun(RunRecord):
    """A run that ends and is stopped as at the stand-in, whatever it is called."""

    entity: str = ENTITY
    project: str = ""
    name: str = ""
    created_at: str = ""
    state: str = "running"


class MemoryWandb:
    """Takes the calls that a connection takes, and remembers them.

    Attributes:
        is_away: Whether calls fail for the moment.
        refusal: What all calls are refused with, if they are.
        not_taken: Ids of runs whose end is not taken, though it answers.
        runs: By "entity/project/run_id".
        sweeps: Names of those that there are.
        calls: Names of what was asked for.
    """

    def __init__(self) -> None:
        self.is_away = False
        self.refusal: str | None = None
        self.not_taken: set[str] = set()
        self.runs: dict[str, MemoryRun] = {}
        self.sweeps: set[str] = set()
        self.calls: list[str] = []

    @property
    def api(self) -> WandbApi:
        return WandbApi(self)

    async def call(
        self, operation: str, arguments: Mapping[str, Any], *, deadline_seconds: float
    ) -> Any:
        self.calls.append(operation)
        if self.is_away:
            raise SystemAway("W&B does not answer.")
        if self.refusal is not None:
            raise SystemRefused(self.refusal)
        return getattr(self, f"_{operation}")(**arguments)

    def _find_account(self) -> dict[str, Any]:
        return {"entity": ENTITY}

    def _flag_stop(self, **names: str) -> None:
        self._get_run(**names).stop()

    def _flag_stops(self, entity: str, project: str, run_ids: list[str]) -> dict[str, str | None]:
        refusals: dict[str, str | None] = dict.fromkeys(run_ids)
        for run_id in run_ids:
            try:
                self._flag_stop(entity=entity, project=project, run_id=run_id)
            except SystemRefused as refused:
                refusals[run_id] = str(refused)
        return refusals

    def _find_runs(self, entity: str, project: str, run_ids: list[str]) -> dict[str, Any]:
        paths = {run_id: f"{entity}/{project}/{run_id}" for run_id in run_ids}
        return {
            run_id: {
                "state": self.runs[path].state,
                "summary": self.runs[path].summary,
                "last_step": self.runs[path].last_step,
                "is_stopped": self.runs[path].is_stopped,
            }
            for run_id, path in paths.items()
            if path in self.runs
        }

    def _read_history(
        self,
        entity: str,
        project: str,
        run_id: str,
        keys: list[str],
        min_step: int,
        max_step: int | None,
    ) -> dict[str, Any]:
        run = self._get_run(entity, project, run_id)
        end = run.last_step if max_step is None else max_step
        wanted = {"_step", *keys}
        rows = [
            {key: row[key] for key in row if key in wanted}
            for row in run.history
            if min_step <= row["_step"] <= end and wanted & row.keys() - {"_step"}
        ]
        return {"rows": rows, "read_to": end, "is_all": True}

    def _read_sweep_states(
        self, entity: str, project: str, names: list[str]
    ) -> dict[str, str | None]:
        return {name: "RUNNING" if name in self.sweeps else None for name in names}

    def _end_run(self, exit_code: int, **names: str) -> bool:
        run = self._get_run(**names)
        if names["run_id"] in self.not_taken:
            raise SystemSilent("HTTP 503")
        if run.state not in _UNENDED_STATES:
            return False
        run.end(exit_code)
        return True

    def _get_run(self, entity: str, project: str, run_id: str) -> MemoryRun:
        path = f"{entity}/{project}/{run_id}"
        if path not in self.runs:
            raise SystemRefused(f"There is no run {path} at W&B.")
        return self.runs[path]
