"""All that the stand-in remembers, in plain objects that tests may read."""

import itertools
import math
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import grpc
from flyteidl.core.execution_pb2 import ExecutionError, WorkflowExecution
from flyteidl.core.identifier_pb2 import Identifier
from flyteidl.core.literals_pb2 import LiteralMap

from tests.flyte_admin.records import ENDED, Executed, ExecutionRecord

EntityKey: TypeAlias = tuple[str, str, str, str]
ExecutionKey: TypeAlias = tuple[str, str, str]
Found = TypeVar("Found")

_PAUSE_SECONDS = 0.05


class Refused(Exception):
    """flyteadmin says no to this request; the message is for its sender."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class Unknown(Exception):
    """Something that the stand-in was not taught; the message names it."""


@dataclass(slots=True)
class Entity:
    """A registered task, workflow or launch plan.

    Attributes:
        message: As admin answers it.
        digest: Of what was registered, to tell a repetition from a change.
    """

    message: Any
    digest: bytes


@dataclass(slots=True, kw_only=True)
class World:
    """What one admin and its cluster know. Change it with `lock` held.

    Attributes:
        client: Identifier and secret that callers must have; None lets everybody in.
        tasks, workflows, launch_plans: By project, domain, name and version, as registered.
        executions: By project, domain and name, in the order of creation.
        queued: Executions that nobody runs yet.
        executed: Every program that was started, in order; nothing is ever removed.
        tokens: Those that were given out and are good.
        calls: How often each RPC came, answered or not; HTTP requests are "upload", "download" and
            "token".
        unknown: RPCs, filters and kinds of nodes that came and are not known here.
    """

    root: Path
    files_url: str = ""
    client: tuple[str, str] | None = None
    projects: frozenset[str] = frozenset({"flytesnacks"})
    domains: frozenset[str] = frozenset({"development", "staging", "production"})
    tasks: dict[EntityKey, Entity] = field(default_factory=dict)
    workflows: dict[EntityKey, Entity] = field(default_factory=dict)
    launch_plans: dict[EntityKey, Entity] = field(default_factory=dict)
    executions: dict[ExecutionKey, ExecutionRecord] = field(default_factory=dict)
    queued: "queue.SimpleQueue[ExecutionRecord | None]" = field(default_factory=queue.SimpleQueue)
    executed: list[Executed] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    calls: Counter[str] = field(default_factory=Counter)
    unknown: list[str] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _changed: threading.Condition = field(init=False)

    def __post_init__(self) -> None:
        self._changed = threading.Condition(self.lock)

    def next_number(self) -> int:
        return next(self._numbers)

    def enter(
        self,
        record: ExecutionRecord,
        phase: str,
        *,
        error: ExecutionError | None = None,
        outputs: LiteralMap | None = None,
    ) -> None:
        """The next phase of an execution.

        As in admin, nothing follows an end, and only an end follows ABORTING.
        """
        with self._changed:
            if record.has_ended or (record.phase == "ABORTING" and phase not in ENDED):
                return
            _write_phase(record, phase)
            if error is not None:
                record.message.closure.error.CopyFrom(error)
            if outputs is not None:
                record.output_literals = outputs
                record.message.closure.outputs.uri = str(record.folder / "outputs.pb")
            record.changed = self.next_number()
            self._changed.notify_all()

    def note_started(self, started: Executed) -> None:
        with self._changed:
            self.executed.append(started)
            self._changed.notify_all()

    def tell(self, record: ExecutionRecord, told: LiteralMap | ExecutionError) -> None:
        """What a test says about an execution without a program."""
        with self._changed:
            record.told = told
            self._changed.notify_all()

    def wait_until(self, find: Callable[[], Found | None], seconds: float | None = None) -> Found:
        """What a function finds, which is asked again after each change and now and then.

        Raises:
            AssertionError: Nothing was found in all that time.
        """
        end = math.inf if seconds is None else time.monotonic() + seconds
        with self._changed:
            while not (found := find()):
                assert time.monotonic() < end, f"Nothing was found in {seconds} seconds."
                self._changed.wait(_PAUSE_SECONDS)
        return found

    def wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def find_task(self, identifier: Identifier) -> Any | None:
        """The template of a registered task."""
        entity = self.tasks.get(make_key(identifier))
        return None if entity is None else entity.message.closure.compiled_task.template


def make_key(identifier: Identifier) -> EntityKey:
    return (identifier.project, identifier.domain, identifier.name, identifier.version)


def _write_phase(record: ExecutionRecord, phase: str) -> None:
    closure = record.message.closure
    closure.phase = WorkflowExecution.Phase.Value(phase)
    closure.updated_at.FromNanoseconds(time.time_ns())
    if phase == "RUNNING":
        closure.started_at.CopyFrom(closure.updated_at)
    elif phase in ENDED and closure.HasField("started_at"):
        closure.duration.FromTimedelta(
            closure.updated_at.ToDatetime() - closure.started_at.ToDatetime()
        )
