"""The cluster behind admin: runs what is queued, as many executions at a time as it has slots."""

import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from flyteidl.core.execution_pb2 import ExecutionError
from flyteidl.core.identifier_pb2 import ResourceType
from flyteidl.core.literals_pb2 import LiteralMap

from tests.flyte_admin.records import ExecutionRecord
from tests.flyte_admin.tasks import Aborted, Failed, TaskRunner
from tests.flyte_admin.workflows import run_workflow
from tests.flyte_admin.world import Unknown, World, make_key

_PAUSE_SECONDS = 0.02

# With this code a test lets an execution end as TIMED_OUT, a phase that flyteidl has and
# flytepropeller's source never sets.
TIMED_OUT = "TimedOut"


class Cluster:
    """A thread for each execution, from `start` to `close`. It runs while admin is down."""

    def __init__(self, world: World, runner: TaskRunner, slots: int) -> None:
        self._world = world
        self._runner = runner
        self._slots = threading.Semaphore(slots)
        self._threads: list[threading.Thread] = []
        self._dispatcher = threading.Thread(target=self._dispatch, daemon=True)

    def start(self) -> None:
        self._dispatcher.start()

    def close(self) -> None:
        """Aborts what still runs, and returns when all programs are gone."""
        self._world.queued.put(None)
        self._dispatcher.join()
        for record in self._world.executions.values():
            record.aborting.set()
        self._world.wake()
        for thread in self._threads:
            thread.join()

    def _dispatch(self) -> None:
        while (record := self._world.queued.get()) is not None:
            thread = threading.Thread(target=self._run, args=(record,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, record: ExecutionRecord) -> None:
        try:
            with self._take_slot(record):
                self._world.enter(record, "RUNNING")
                outputs = self._execute(record)
        except Aborted:
            self._world.enter(record, "ABORTED")
        except Failed as failure:
            self._fail(record, failure.error)
        except Exception as error:
            self._note(record, error)
        else:
            self._world.enter(record, "SUCCEEDING")
            self._world.enter(record, "SUCCEEDED", outputs=outputs)

    @contextmanager
    def _take_slot(self, record: ExecutionRecord) -> Iterator[None]:
        """Waits for a slot, but not for a parent of others: it would wait for them in vain."""
        if self._is_eager(record):
            yield
            return
        while not self._slots.acquire(timeout=_PAUSE_SECONDS):
            if record.aborting.is_set():
                raise Aborted
        try:
            if record.aborting.is_set():
                raise Aborted
            yield
        finally:
            self._slots.release()

    def _is_eager(self, record: ExecutionRecord) -> bool:
        template = self._world.find_task(record.spec.launch_plan)
        return template is not None and template.metadata.is_eager

    def _execute(self, record: ExecutionRecord) -> LiteralMap:
        reference = record.spec.launch_plan
        if reference.resource_type == ResourceType.TASK:
            return self._runner.run(record, "n0", reference, record.input_literals)
        plan = self._world.launch_plans[make_key(reference)].message
        workflow = self._world.workflows[make_key(plan.spec.workflow_id)].message
        template = workflow.closure.compiled_workflow.primary.template
        return run_workflow(self._runner, record, template, record.input_literals)

    def _note(self, record: ExecutionRecord, error: Exception) -> None:
        """What the stand-in does not know, or does wrong, is for its tests to see."""
        text = str(error) if isinstance(error, Unknown) else traceback.format_exc()
        with self._world.lock:
            self._world.unknown.append(f"{record.name}: {text}")
        self._fail(
            record,
            ExecutionError(code="StandIn", message=text, kind=ExecutionError.SYSTEM),
        )

    def _fail(self, record: ExecutionRecord, error: ExecutionError) -> None:
        if error.code == TIMED_OUT:
            self._world.enter(record, "TIMED_OUT", error=error)
        else:
            self._world.enter(record, "FAILING", error=error)
            self._world.enter(record, "FAILED", error=error)
