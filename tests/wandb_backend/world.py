"""All that the stand-in remembers, in plain objects that tests may read."""

import base64
import itertools
import json
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

from tests.wandb_backend.launch_items import LaunchQueue, QueueItem
from tests.wandb_backend.planted_artifacts import PlantedArtifact
from tests.wandb_backend.run_records import RunRecord
from tests.wandb_backend.sweep_records import AgentRecord, SweepRecord

Variables: TypeAlias = dict[str, Any]
Answer: TypeAlias = dict[str, Any]


class Refused(Exception):
    """W&B says no to this request; the message is for its sender."""


class Unknown(Exception):
    """Something that the stand-in was not taught; the message names it."""


@dataclass(slots=True, kw_only=True)
class World:
    """What one backend knows. Change it with `lock` held.

    Attributes:
        entity: The only account, which is also the key's default entity.
        clock: Seconds since 1970.
        heartbeat_timeout_seconds: Silence after which a run counts as crashed.
        writes_bare_nan: Whether answers hold NaN and Infinity as bare words. W&B answers them as
            texts, as its sweeps package expects, but they arrive bare.
        ended_sweeps_take_runs: Whether runs may join sweeps that are FINISHED or CANCELED.
        has_item_errors: Whether items of launch queues can be asked why they failed.
        gate: What a gateway before it wants as the header X-Gate; None: there is none.
        features: What this server can do, by the names that the SDK asks for.
        runs: By "entity/project/run_id".
        sweeps: By "entity/project/name".
        queues: By "entity/project/name".
        items: Of all queues, by id, in the order of arrival.
        artifacts: By "entity/project/name:alias".
        files: Uploads, by "entity/project/run_id/name".
        requests: How often each operation came; HTTP ones are "file_stream", "storage" and
            "artifact_file".
        unknown: Operations, fields and paths that came and are not known here.
    """

    entity: str
    api_key: str = field(repr=False)
    clock: Callable[[], float] = time.time
    heartbeat_timeout_seconds: float = 300
    base_url: str = ""
    writes_bare_nan: bool = False
    ended_sweeps_take_runs: bool = True
    has_item_errors: bool = True
    gate: str | None = None
    features: set[str] = field(
        default_factory=lambda: {"SWEEPS_LOCAL_SCHEDULER", "SWEEPS_QUERY_FILTERING"}
    )
    projects: set[tuple[str, str]] = field(default_factory=set)
    runs: dict[str, RunRecord] = field(default_factory=dict)
    sweeps: dict[str, SweepRecord] = field(default_factory=dict)
    agents: dict[str, AgentRecord] = field(default_factory=dict)
    queues: dict[str, LaunchQueue] = field(default_factory=dict)
    items: dict[str, QueueItem] = field(default_factory=dict)
    artifacts: dict[str, PlantedArtifact] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    unknown: list[str] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def now(self) -> str:
        """The time as W&B writes it."""
        return write_time(self.clock())

    def make_name(self) -> str:
        """A name of eight characters that was not given before."""
        return f"w{next(self._numbers):07d}"

    def dump(self, value: Any) -> str:
        """Writes JSON; see `writes_bare_nan`."""
        return json.dumps(value if self.writes_bare_nan else _name_non_finite(value))

    def expire_heartbeats(self) -> None:
        """Ends the runs that have been silent for too long."""
        oldest = self.clock() - self.heartbeat_timeout_seconds
        for run in self.runs.values():
            run.expire(oldest)


def write_time(seconds: float) -> str:
    """Seconds since 1970 as W&B writes them."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def make_id(*parts: str) -> str:
    """An opaque id as W&B makes them, the same for the same parts."""
    return base64.b64encode(":".join(parts).encode()).decode()


def _name_non_finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _name_non_finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_name_non_finite(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
