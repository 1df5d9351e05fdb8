"""Follows a run by what wandb leaves on disk: its metrics while it runs, and how it ended."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.schedulers.executors.wandb.local.places import RunPlace
from service.schedulers.executors.wandb.local.run_log import RunLogReader
from service.schedulers.executors.wandb.local.run_records import (
    Record,
    Summary,
    read_key,
    read_numbers,
    read_value,
)
from service.schedulers.executors.wandb.runs.metric_rows import MetricRows
from service.schedulers.executors.wandb.runs.run_metrics import RunMetrics

MAX_LOOK_BYTES = 2 * 1024 * 1024
"""Read at a look; some thousand small rows, which take a fraction of a second."""

_OFFLINE = "offline-"


@dataclass(frozen=True, slots=True)
class RunSeen:
    """What a run has left so far.

    Attributes:
        rows: All rows with at least one of the metrics, in the order in which they were logged, up
            to a limit.
        values: Of each metric, as the sweep wants it: the last, the best, or that of the summary.
        exit_code: None as long as the run has no end.
        is_preempting: Its program said that it has to go.
        has_run: wandb has begun one, if only its folder.
        entity: That wandb asks for it in; empty if that is not known, or is left to W&B.
        project: Likewise.
        is_offline: W&B does not get what was begun last.
        has_offline_part: It does not get all of it.
        folders: Of the run; more than one if the program began it again.
        is_behind: There is more to read at once; until then nothing can be said of its end.
        trouble: What of it could not be read, for people.
    """

    rows: MetricRows
    values: Mapping[str, float]
    exit_code: int | None
    is_preempting: bool
    has_run: bool
    entity: str
    project: str
    is_offline: bool
    has_offline_part: bool
    folders: list[str]
    is_behind: bool
    trouble: str | None


class RunFollower:
    """Reads a run from its beginning on, a bounded part of it at a look.

    Args:
        place: Where its folders are.
        metrics: Takes in what is read.
    """

    def __init__(
        self,
        place: RunPlace,
        run_id: str,
        metrics: RunMetrics,
        *,
        max_look_bytes: int = MAX_LOOK_BYTES,
    ) -> None:
        self._place = place
        self._run_id = run_id
        self._metrics = metrics
        self._max_look_bytes = max_look_bytes
        self._runs: dict[str, _Run] = {}

    def look(self, earlier: RunMetrics | None = None) -> RunSeen:
        """Reads on; returns all that is known by now.

        Args:
            earlier: What an earlier attempt had logged of the run, if there was one. It has values
                and no rows.

        Raises:
            OSError: The log cannot be read this time.
        """
        self._metrics.earlier = earlier
        names = self._place.list_run_folders(self._run_id)
        for name in names:
            if name not in self._runs:
                path = os.path.join(self._place.folder, name, f"run-{self._run_id}.wandb")
                self._runs[name] = _Run(RunLogReader(path))
        self._read()
        return self._build_seen(names)

    def _read(self) -> None:
        room = self._max_look_bytes
        for run in self._runs.values():
            before = run.log.position
            for record in run.log.read(limit_bytes=room):
                self._take(run, record)
            room -= run.log.position - before
            if run.log.is_behind:
                return

    def _take(self, run: "_Run", record: Record) -> None:
        match record.WhichOneof("record_type"):
            case "run" if not run.project:
                # Later ones are changes of it.
                run.entity, run.project = record.run.entity, record.run.project
            case "history":
                numbers = read_numbers(record.history, self._metrics.keys)
                self._metrics.add(numbers, record.history.step.num)
            case "summary" if self._metrics.is_by_summary:
                self._take_summary(record.summary)
            case "preempting":
                run.is_preempting = True
            case "exit" if run.exit_code is None:
                # Another one follows if the program is interrupted while it uploads.
                run.exit_code = record.exit.exit_code

    def _take_summary(self, change: Summary) -> None:
        summary = self._metrics.summary
        for item in change.update:
            key = read_key(item)
            # A summary may hold very much that is nobody's objective.
            if summary.wants(key):
                summary.set(key, read_value(item))
        for item in change.remove:
            summary.remove(read_key(item))

    def _build_seen(self, names: Sequence[str]) -> RunSeen:
        last = self._runs[names[-1]] if names else _Run(RunLogReader(""))
        return RunSeen(
            rows=self._metrics.rows,
            values=self._metrics.list_values(),
            exit_code=last.exit_code,
            is_preempting=last.is_preempting,
            has_run=bool(names),
            entity=last.entity,
            project=last.project,
            is_offline=bool(names) and names[-1].startswith(_OFFLINE),
            has_offline_part=any(name.startswith(_OFFLINE) for name in names),
            folders=[os.path.join(self._place.folder, name) for name in names],
            is_behind=any(run.log.is_behind for run in self._runs.values()),
            trouble=next(filter(None, (run.log.trouble for run in self._runs.values())), None),
        )


@dataclass(slots=True)
class _Run:
    """What one folder tells."""

    log: RunLogReader
    entity: str = ""
    project: str = ""
    is_preempting: bool = False
    exit_code: int | None = None
