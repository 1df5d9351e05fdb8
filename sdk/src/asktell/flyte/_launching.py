"""Executions of the tasks that a trial awaits in an eager task on a cluster.

flytekit's own Controller starts one a second at most, terminates none, gives up at the first error
of the connection, and names them by the order of all calls, which is another one when the eager
task's pod is started again. Here trial, attempt and the order within the trial make the name, so
that a pod that takes a trial over finds its execution running, or ended.
"""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import itertools
import logging
import reprlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

import grpc
from flytekit.clients.grpc_utils.deadline_interceptor import scoped_grpc_deadline
from flytekit.core.context_manager import FlyteContextManager, flyte_context_Var
from flytekit.core.options import Options
from flytekit.core.worker_queue import ItemStatus, WorkItem
from flytekit.exceptions.base import FlyteException
from flytekit.exceptions.eager import EagerException
from flytekit.exceptions.system import FlyteSystemException
from flytekit.models.common import Labels
from flytekit.models.core.execution import WorkflowExecutionPhase as Phase
from flytekit.models.core.identifier import WorkflowExecutionIdentifier
from flytekit.models.filters import Equal

from asktell.flyte._literals import convert_inputs, digest_inputs
from asktell.flyte._patience import finish

if TYPE_CHECKING:
    from flytekit.core.worker_queue import Controller
    from flytekit.remote import FlyteRemote, FlyteWorkflowExecution

# For all executions of an optimizer together, which may be many.
SHORTEST_POLL_SECONDS = 1.0
POLLS_PER_SECOND = 5

# flytekit itself waits for an answer for ever.
CALL_SECONDS = 60.0
LOOK_SECONDS = 10.0
TERMINATE_SECONDS = 5.0

# Of one attempt of a trial.
MOST_FOUND = 100

TRIAL_LABEL = "asktell-trial"
INPUTS_LABEL = "asktell-inputs"

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0

_PASSING = frozenset(
    {
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.UNKNOWN,
    }
)
_ENDED = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.ABORTED, Phase.TIMED_OUT})

# Not asyncio's, in which the server is asked and told: calls of Flyte may hang. What terminates an
# execution does not wait for the others either.
_threads = ThreadPoolExecutor(32, thread_name_prefix="asktell-flyte")
_terminating_threads = ThreadPoolExecutor(32, thread_name_prefix="asktell-flyte-end")

_optimizer_numbers = itertools.count()

_logger = logging.getLogger("asktell")

_Result = TypeVar("_Result")


class Launches:
    """What the trials of one optimizer launch; nothing where there is no cluster."""

    def __init__(self) -> None:
        self._number = next(_optimizer_numbers)
        self._queues: WeakKeyDictionary[Any, TrialQueue] = WeakKeyDictionary()
        self._running: set[str] = set()

    def place(
        self,
        trial: Any,
        *,
        study_key: str | None = None,
        attempt: int = 1,
        envs: Mapping[str, str] | None = None,
    ) -> None:
        """Takes the calls of the asyncio task that calls this, which evaluates the trial.

        Args:
            trial: Optuna's or ours.
            study_key: Tells the study from all others that ever were. None: it ends with this
                process; executions are found again if the same trial has the same inputs.
            attempt: Of the trial.
            envs: Environment variables of the tasks.
        """
        context = FlyteContextManager.current_context()
        if context.worker_queue is None:
            return
        if trial not in self._queues:
            self._queues[trial] = TrialQueue(
                context.worker_queue,
                study_key,
                f"{trial.number}-{attempt}",
                optimizer_number=self._number,
                envs=envs or {},
                running=self._running,
            )
        # with_context would change a list that all tasks share.
        own = context.with_worker_queue(self._queues[trial]).build()
        flyte_context_Var.set([*flyte_context_Var.get(), own])

    async def terminate(self, study_key: str, attempts: Sequence[str]) -> None:
        """Ends what runs of these attempts of trials, which another process has launched.

        Flyte is asked once; what it refuses is logged.
        """
        controller = FlyteContextManager.current_context().worker_queue
        if controller is None or not attempts:
            return
        labels = [_label_trial(study_key, attempt) for attempt in attempts]
        find = partial(_list_running, controller.remote, labels)
        names = await _in_thread(find, TERMINATE_SECONDS, _terminating_threads)
        await asyncio.gather(*(_terminate(controller.remote, name) for name in names))


class TrialQueue:
    """What flytekit hands the calls of one trial to, in place of its Controller.

    Args:
        controller: Flytekit's own, for its connection and settings.
        study_key: See `Launches.place`.
        attempt: Number and attempt of the trial.
        optimizer_number: Tells it from others in the same eager task.
        envs: Environment variables of the tasks.
        running: Names of the executions that run, shared by all trials of the optimizer.
    """

    def __init__(
        self,
        controller: Controller,
        study_key: str | None,
        attempt: str,
        *,
        optimizer_number: int,
        envs: Mapping[str, str],
        running: set[str],
    ) -> None:
        self._controller = controller
        self._study_key = study_key
        self._attempt = attempt
        self._trial_label = attempt if study_key is None else _label_trial(study_key, attempt)
        self._optimizer_number = optimizer_number
        self._envs = {**controller.get_env(), **envs}
        self._running = running
        self._n_calls = 0

    async def add(self, entity: Any, input_kwargs: dict[str, Any]) -> Any:
        """Executes an entity and returns its outputs; flytekit calls it by this name.

        The execution is terminated when this is cancelled or cannot follow it.

        Raises:
            EagerException: The execution failed or was aborted, with all that Flyte says of it.
            FlyteException: It could not be started or followed.
        """
        name = self._choose_name(entity, input_kwargs)
        self._running.add(name)
        try:
            execution = await _call(partial(self._launch, entity, input_kwargs, name))
            await self._wait(execution)
        except BaseException:
            await finish(_terminate(self._controller.remote, name))
            raise
        finally:
            self._running.discard(name)
        return await _call(partial(self._read, execution, WorkItem(entity, input_kwargs)))

    def _choose_name(self, entity: Any, inputs: dict[str, Any]) -> str:
        key = self._study_key
        if key is None:
            key = f"{self._controller.tag} {self._optimizer_number} {inputs}"
        digest = hashlib.sha256(f"{key} {entity.name}".encode()).hexdigest()[:12]
        self._n_calls += 1
        return f"asktell-{digest}-{self._attempt}-{self._n_calls}"

    def _launch(self, entity: Any, inputs: dict[str, Any], name: str) -> FlyteWorkflowExecution:
        """Starts the execution; one of that name with the same inputs is returned as it is.

        Raises:
            EagerException: The one of that name has other inputs.
        """
        settings, remote = self._controller.ss, self._controller.remote
        literals = convert_inputs(remote, entity, inputs)
        digest = digest_inputs(literals, inputs)
        labels = {TRIAL_LABEL: self._trial_label, INPUTS_LABEL: digest}
        execution = remote.execute(
            entity=entity,
            execution_name=name,
            inputs=literals,
            version=settings.version,
            image_config=settings.image_config,
            options=Options(labels=Labels({**self._controller.get_labels().values, **labels})),
            envs=self._envs,
            serialization_settings=settings,
        )
        if execution.spec.labels.values.get(INPUTS_LABEL) != digest:
            raise EagerException(
                f"{name} was started with other inputs. The objective has to await its tasks in "
                "the same order whenever it is called for the same trial."
            )
        return execution

    async def _wait(self, execution: FlyteWorkflowExecution) -> None:
        look = partial(self._controller.remote.client.get_execution, execution.id)
        while True:
            looked_at = await _call(look, LOOK_SECONDS)
            if looked_at.closure.phase in _ENDED:
                return
            await asyncio.sleep(max(SHORTEST_POLL_SECONDS, len(self._running) / POLLS_PER_SECOND))

    def _read(self, execution: FlyteWorkflowExecution, item: WorkItem) -> Any:
        item.wf_exec = self._controller.remote.sync_execution(execution)
        if item.wf_exec.closure.phase == Phase.SUCCEEDED:
            item.status = ItemStatus.SUCCESS
            item.result = item.wf_exec.outputs.as_python_native(item.python_interface)
        else:
            item.status = ItemStatus.FAILED
            item.error = EagerException(f"{execution.id.name} {_describe_end(item.wf_exec)}")
        self._show(item)
        if item.error is not None:
            raise item.error
        return item.result

    def _show(self, item: WorkItem) -> None:
        """Adds it to flytekit's deck of eager executions."""
        # It stays in memory, and what is shown of the inputs is short.
        item.input_kwargs = {key: reprlib.repr(value) for key, value in item.input_kwargs.items()}
        # By a name of their own: those of other calls depend on their place in the list.
        name = f"{item.entity.name} in trials"
        with self._controller.entries_lock:
            self._controller.entries.setdefault(name, []).append(item)


def _label_trial(study_key: str, attempt: str) -> str:
    return f"{hashlib.sha256(study_key.encode()).hexdigest()[:12]}-{attempt}"


def _list_running(remote: FlyteRemote, labels: Sequence[str]) -> list[str]:
    """Names of the executions with these labels that have not ended."""
    try:
        return [name for label in labels for name in _list_of_label(remote, label)]
    except (FlyteException, grpc.RpcError) as error:
        _logger.warning("Executions of an optimizer that ended are not terminated: %s", error)
        return []


def _list_of_label(remote: FlyteRemote, label: str) -> Iterator[str]:
    filters = [Equal("execution_tag.key", TRIAL_LABEL), Equal("execution_tag.value", label)]
    found, _ = remote.client.list_executions_paginated(
        remote.default_project, remote.default_domain, limit=MOST_FOUND, filters=filters
    )
    for execution in found:
        if execution.closure.phase not in _ENDED:
            yield execution.id.name


async def _terminate(remote: FlyteRemote, name: str) -> None:
    await _in_thread(
        partial(_try_to_terminate, remote, name), TERMINATE_SECONDS, _terminating_threads
    )


def _try_to_terminate(remote: FlyteRemote, name: str) -> None:
    place = WorkflowExecutionIdentifier(remote.default_project, remote.default_domain, name)
    try:
        remote.client.terminate_execution(place, "The optimizer does not await it any more.")
    except (FlyteException, grpc.RpcError) as error:
        # It has ended, was not started, or Flyte is away; whoever ends waits for none.
        _logger.warning("%s was not terminated: %s", name, error)


def _describe_end(execution: Any) -> str:
    """How an execution failed, in all words that Flyte has of it."""
    closure = execution.closure
    if closure.error is not None:
        return f"failed: {closure.error.message}"
    if closure.abort_metadata is not None:
        return f"was aborted: {closure.abort_metadata.cause}"
    return "failed, Flyte does not say why."


async def _call(
    work: Callable[[], _Result],
    seconds: float = CALL_SECONDS,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> _Result:
    """What a call of Flyte returns, as often as it takes while Flyte is away.

    Args:
        seconds: How long to wait for an answer before asking again.
        sleep: Passes the seconds before it does.

    Raises:
        asyncio.CancelledError: Nothing of it is under way any more.
    """
    pause = FIRST_PAUSE_SECONDS
    while True:
        try:
            result, cancellation = await finish(_in_thread(work, seconds, _threads))
        except FlyteException as error:
            if not _may_pass(error):
                raise
            _logger.warning("Flyte does not answer, and is asked again in %.0f s: %s", pause, error)
        else:
            if cancellation is not None:
                raise cancellation
            return result
        await sleep(pause)
        pause = min(LONGEST_PAUSE_SECONDS, 2 * pause)


async def _in_thread(
    work: Callable[[], _Result], seconds: float, threads: ThreadPoolExecutor
) -> _Result:
    context = contextvars.copy_context()
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(threads, context.run, _call_in_time, work, seconds)


def _call_in_time(work: Callable[[], _Result], seconds: float) -> _Result:
    # Threads would push on the list that their event loop reads.
    flyte_context_Var.set(list(flyte_context_Var.get()))
    with scoped_grpc_deadline(seconds):
        return work()


def _may_pass(error: FlyteException) -> bool:
    # Flytekit's classes do not tell: those of a refusal are those of a failure.
    call = next((each for each in _list_causes(error) if isinstance(each, grpc.Call)), None)
    return _has_no_token(error) if call is None else call.code() in _PASSING


def _has_no_token(error: FlyteException) -> bool:
    """Whether no call was made because nobody gives out tokens now."""
    cause = error.__cause__
    if isinstance(cause, (FileNotFoundError, PermissionError)):
        # The command that is to give them out is none.
        return False
    # What requests raises is an OSError. Subclasses of the exception are about files.
    return type(error) is FlyteSystemException and isinstance(cause, OSError)


def _list_causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
