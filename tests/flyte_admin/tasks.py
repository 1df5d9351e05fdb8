"""What flytepropeller and Kubernetes do with one task of an execution: attempts and retries."""

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flyteidl.core.execution_pb2 import ExecutionError, NodeExecution, TaskExecution
from flyteidl.core.identifier_pb2 import Identifier
from flyteidl.core.literals_pb2 import LiteralMap

from tests.flyte_admin import attempts, programs
from tests.flyte_admin.records import AttemptRecord, Executed, ExecutionRecord, NodeRecord
from tests.flyte_admin.world import World

# flytepropeller's max-node-retries-system-failures.
_SYSTEM_RETRIES = 3


class Aborted(Exception):
    """Somebody wants the end of the execution."""


class Failed(Exception):
    """The execution is to fail with this error."""

    def __init__(self, error: ExecutionError) -> None:
        super().__init__(error.message)
        self.error = error


@dataclass(slots=True, kw_only=True)
class TaskRunner:
    """Runs tasks one by one; an execution has one thread.

    Attributes:
        environment: Variables of "the image".
        describe_admin: Variables by which tasks find admin.
    """

    world: World
    environment: Mapping[str, str]
    describe_admin: Callable[[], Mapping[str, str]]
    zygote: programs.Zygote | None
    grace_seconds: float

    def run(
        self,
        record: ExecutionRecord,
        node_id: str,
        task: Identifier,
        inputs: LiteralMap,
        *,
        retries: int | None = None,
        timeout_seconds: float | None = None,
    ) -> LiteralMap:
        """The outputs of a task.

        Args:
            retries: Of its node; None takes the task's own.
            timeout_seconds: Of its node, for every attempt. Twice as long is for all of them.

        Raises:
            Aborted: Its program is gone by then.
            Failed: All attempts failed, or one that must not be retried.
        """
        template = self.world.find_task(task)
        assert template is not None, "A reference was not checked."
        node = NodeRecord(node_id=node_id, task=task, inputs=inputs, queued_at=time.time())
        with self.world.lock:
            record.nodes[node_id] = node
        if not template.HasField("container"):
            return self._wait_to_be_told(record, node)
        if retries is None:
            retries = template.metadata.retries.retries
        return self._try(record, node, template, retries, timeout_seconds)

    def _wait_to_be_told(self, record: ExecutionRecord, node: NodeRecord) -> LiteralMap:
        """A task without a container ends as a test says."""
        attempt = AttemptRecord()
        node.attempts.append(attempt)
        self.world.wait_until(lambda: record.told is not None or record.aborting.is_set())
        if record.aborting.is_set():
            attempt.phase, node.phase = TaskExecution.ABORTED, NodeExecution.ABORTED
            raise Aborted
        if isinstance(record.told, ExecutionError):
            attempt.phase, attempt.error = TaskExecution.FAILED, record.told
            node.phase, node.error = NodeExecution.FAILED, record.told
            raise Failed(record.told)
        assert record.told is not None
        attempt.phase = TaskExecution.SUCCEEDED
        node.phase, node.outputs = NodeExecution.SUCCEEDED, record.told
        return record.told

    def _try(
        self,
        record: ExecutionRecord,
        node: NodeRecord,
        template: Any,
        retries: int,
        timeout_seconds: float | None,
    ) -> LiteralMap:
        system_failures = 0
        while True:
            verdict = self._attempt(record, node, template, timeout_seconds)
            if verdict.outputs is not None:
                node.phase, node.outputs = NodeExecution.SUCCEEDED, verdict.outputs
                return verdict.outputs
            assert verdict.error is not None
            error = _end_of_time(node) or _end_of_tries(
                verdict, len(node.attempts), system_failures, retries
            )
            if error is not None:
                node.phase, node.error = NodeExecution.FAILED, error
                raise Failed(error)
            system_failures += verdict.error.kind == ExecutionError.SYSTEM

    def _attempt(
        self,
        record: ExecutionRecord,
        node: NodeRecord,
        template: Any,
        timeout_seconds: float | None,
    ) -> attempts.Verdict:
        attempt = AttemptRecord()
        number = len(node.attempts)
        node.attempts.append(attempt)
        folders = _name_folders(record, node, number)
        folders.make(node.inputs)
        program = self._start(record, node, template, number, folders)
        returncode = programs.wait(program, timeout_seconds, record.aborting)
        if returncode is None:
            programs.kill(program, self.grace_seconds)
        if record.aborting.is_set():
            attempt.phase, node.phase = TaskExecution.ABORTED, NodeExecution.ABORTED
            raise Aborted
        verdict = (
            attempts.judge_overrun(timeout_seconds or 0.0)
            if returncode is None
            else attempts.judge(folders, returncode, template)
        )
        attempt.error = verdict.error
        attempt.phase = TaskExecution.SUCCEEDED if verdict.error is None else TaskExecution.FAILED
        return verdict

    def _start(
        self,
        record: ExecutionRecord,
        node: NodeRecord,
        template: Any,
        number: int,
        folders: attempts.Folders,
    ) -> programs.Program:
        previous = _name_folders(record, node, number - 1) if number else None
        environment = {
            **self.environment,
            **self.describe_admin(),
            **attempts.build_environment(record, node.task, number, folders),
            **{pair.key: pair.value for pair in template.container.env},
            **record.envs,
        }
        place = programs.Place(cwd=folders.cwd, log=folders.log, environment=environment)
        command = attempts.build_command(template.container, folders, previous)
        program = programs.start(command, place, self.zygote)
        self.world.note_started(Executed(record.name, node.task.name, number, program.pid))
        return program


def build_image_environment(paths: tuple[Path, ...]) -> dict[str, str]:
    """The variables of programs that run in this Python, with folders to import from."""
    scripts = Path(sys.executable).parent
    return {
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(str(path) for path in paths),
        "LANG": "C.UTF-8",
        "FLYTE_LOGGING_LEVEL": "40",
    }


def _name_folders(record: ExecutionRecord, node: NodeRecord, number: int) -> attempts.Folders:
    return attempts.Folders(record.folder / node.node_id / str(number))


def _end_of_time(node: NodeRecord) -> ExecutionError | None:
    """The error of a node that is late a second time: it has twice the time of an attempt."""
    errors = [attempt.error for attempt in node.attempts if attempt.error is not None]
    if [error.code for error in errors].count(attempts.OVERRUN) < 2:
        return None
    return ExecutionError(code="Timeout", message="Timeout in node", kind=ExecutionError.USER)


def _end_of_tries(
    verdict: attempts.Verdict, tries: int, system_failures: int, retries: int
) -> ExecutionError | None:
    """The error of a node that is not tried again. Failures of the system count by themselves."""
    error = verdict.error
    assert error is not None
    if not verdict.may_be_retried:
        return error
    done, most = tries - system_failures, retries + 1
    if error.kind == ExecutionError.SYSTEM:
        done, most = system_failures, _SYSTEM_RETRIES
    if done < most:
        return None
    kind = ExecutionError.ErrorKind.Name(error.kind)
    return ExecutionError(
        code=f"RetriesExhausted|{error.code}",
        message=f"[{done}/{most}] currentAttempt done. Last Error: {kind}::{error.message}",
        kind=ExecutionError.USER,
    )
