"""Launches attempts as executions of Flyte.

Nothing is kept on the worker's machine. Flyte has an execution's name once for ever, and that of
an attempt is made from the attempt's: whoever launches it again, after an answer that was lost or
a worker that was killed, finds what there is.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from service.domain.attempts import build_attempt_id, parse_attempt_id
from service.domain.flyte import build_execution_name
from service.schedulers.executors.base import (
    ErrorKind,
    Launch,
    LaunchRefused,
    Sighting,
    StillRunning,
    StopKind,
    SweepRefused,
    Watch,
)
from service.schedulers.executors.connection.connection import (
    SystemAway,
    SystemRefused,
    SystemSilent,
)
from service.schedulers.executors.flyte.api import OVER, FlyteApi, NewExecution, Place
from service.schedulers.executors.flyte.execution import UNWANTED, FlyteExecution
from service.schedulers.executors.flyte.new_execution import build_execution
from service.schedulers.executors.looking import BackgroundLooks

# As many attempts as Flyte is asked about at once.
_MOST_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class FlyteSettings:
    """What the executor needs of its worker.

    Attributes:
        tick_seconds: From one look at Flyte to the next.
        soonest_seconds: The same where something is expected: an attempt that has not begun, or
            that was told to end.
        url_for_jobs: Of the server, as programs in Flyte reach it; None: as the worker does.
        clock: Seconds that only go up.
        now: Seconds since the epoch, as Flyte's clock has them.
    """

    tick_seconds: float = 10.0
    soonest_seconds: float = 2.0
    url_for_jobs: str | None = None
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time


class FlyteExecutor:
    """Each attempt is an execution.

    Its attempts are looked at together: one request for up to a hundred of a project and domain,
    and one or two for each that has ended. In between `poll` answers from what was seen last.
    """

    name = "flyte"
    is_shared = True

    def __init__(self, api: FlyteApi, settings: FlyteSettings) -> None:
        self._api = api
        self._settings = settings
        self._executions: dict[str, FlyteExecution] = {}
        self._fitting: set[tuple[str, ...]] = set()
        self._console: str | None = None
        self._looks = BackgroundLooks(
            self.name,
            self._look_at,
            is_expected=self._is_expected,
            tick_seconds=settings.tick_seconds,
            soonest_seconds=settings.soonest_seconds,
            clock=settings.clock,
        )

    async def launch(self, launch: Launch) -> str:
        execution = self._find(launch)
        if not execution.is_stop_wanted:
            new = build_execution(launch, self._settings.url_for_jobs)
            with _launching_nothing_yet():
                self._console = self._console or await self._api.find_console_url()
                await self._check(execution, new)
                await self._end_earlier_attempts(execution)
            try:
                problem = await self._api.launch(execution.place, launch.attempt_id, new)
            except SystemRefused:
                # The entity may have gone since it was looked at: the next try looks again.
                self._fitting.clear()
                raise
            if problem is not None:
                raise LaunchRefused(problem)
        execution.is_found = True
        return _build_reference(execution)

    async def poll(self, watches: Sequence[Watch]) -> Mapping[str, Sighting]:
        self._looks.want(watch.launch for watch in watches)
        known = [self._executions.get(watch.launch.attempt_id) for watch in watches]
        return {
            execution.launch.attempt_id: execution.build_sighting()
            for execution in known
            if execution is not None and execution.is_found
        }

    async def stop(self, launch: Launch, kind: StopKind) -> None:  # noqa: ARG002 (there is one way)
        """Has Flyte end it, which then takes a moment; a program gets the signal that pods get.

        What is there only later is told then.
        """
        execution = self._find(launch)
        execution.want_stop(launch.stop_reason)
        if execution.ending is None:
            cause = execution.stop_cause
            await self._api.terminate(execution.place, launch.attempt_id, cause)

    async def forget(self, launch: Launch) -> None:
        """Nothing is kept outside; what still runs there goes on."""
        self._executions.pop(launch.attempt_id, None)
        self._looks.forget(launch.attempt_id)

    async def list_left_over(self, known: Collection[str]) -> list[str]:  # noqa: ARG002 (see above)
        return []

    def url(self, external_ref: str) -> str | None:
        if self._console is None:
            return None
        project, domain, name = external_ref.split("/")
        path = f"projects/{project}/domains/{domain}/executions/{name}"
        return f"{self._console}/console/{path}"

    def classify(self, error: Exception) -> ErrorKind:
        """What Flyte refuses, a person can mend there or at the worker, while the sweep waits."""
        is_transient = isinstance(error, SystemAway | SystemRefused | OSError | StillRunning)
        return ErrorKind.TRANSIENT if is_transient else ErrorKind.PERMANENT

    async def tend(self) -> None:
        return None

    def _find(self, launch: Launch) -> FlyteExecution:
        known = self._executions.get(launch.attempt_id)
        if known is None:
            known = FlyteExecution(launch, Place.of(launch))
            self._executions[launch.attempt_id] = known
        return known

    async def _check(self, execution: FlyteExecution, new: NewExecution) -> None:
        """A version does not change: what did not fit will not, for any trial of the sweep."""
        launch = execution.launch
        outputs = launch.arguments.get("outputs") or {}
        shape = (str(execution.place), *sorted(new.inputs), *launch.metrics, *outputs.values())
        if shape in self._fitting:
            return
        examples = {name: [value] for name, value in new.inputs.items()}
        problems = await self._api.check(execution.place, examples, launch.metrics, outputs)
        if problems:
            raise SweepRefused(" ".join(problems))
        self._fitting.add(shape)

    async def _end_earlier_attempts(self, execution: FlyteExecution) -> None:
        """One may run that was given up while nobody could be told: nobody follows it."""
        if execution.is_alone:
            return
        earlier = _list_earlier_attempts(execution.launch.attempt_id)[-_MOST_AT_ONCE:]
        entity = execution.place.entity
        views = await self._api.find(entity.project, entity.domain, earlier) if earlier else {}
        for attempt_id, view in views.items():
            if view.phase not in OVER:
                await self._api.terminate(execution.place, attempt_id, UNWANTED)
        execution.is_alone = True

    def _is_expected(self, attempt_id: str) -> bool:
        known = self._executions.get(attempt_id)
        return known is None or known.is_expected

    async def _look_at(self, launches: Sequence[Launch]) -> None:
        executions = [self._find(launch) for launch in launches]
        with self._looks.noting_trouble(executions):
            self._console = self._console or await self._api.find_console_url()
            for (project, domain), group in _group([x for x in executions if x.ending is None]):
                for start in range(0, len(group), _MOST_AT_ONCE):
                    some = group[start : start + _MOST_AT_ONCE]
                    await self._look_at_some(project, domain, some)

    async def _look_at_some(
        self, project: str, domain: str, executions: Sequence[FlyteExecution]
    ) -> None:
        with self._looks.noting_trouble(executions):
            attempts = [each.launch.attempt_id for each in executions]
            views = await self._api.find(project, domain, attempts)
            for execution in executions:
                view = views.get(execution.launch.attempt_id)
                if view is None or view.phase in OVER:
                    await self._read(execution)
                else:
                    execution.take_in(view)
                await self._end_if_due(execution)

    async def _read(self, execution: FlyteExecution) -> None:
        """Of what has ended the list has no values, and no more than the beginning of an error."""
        launch = execution.launch
        with self._looks.noting_trouble([execution]):
            outputs = launch.arguments.get("outputs") or {}
            execution.take_in(
                await self._api.read(execution.place, launch.attempt_id, launch.metrics, outputs)
            )
            if execution.trouble is not None:
                self._looks.note_trouble(execution.trouble)

    async def _end_if_due(self, execution: FlyteExecution) -> None:
        cause = execution.find_cause(self._settings.now())
        if cause is None:
            return
        with self._looks.noting_trouble([execution]):
            await self._api.terminate(execution.place, execution.launch.attempt_id, cause)


@contextmanager
def _launching_nothing_yet() -> Iterator[None]:
    """A call that is not answered here leaves no doubt whether the attempt was launched."""
    try:
        yield
    except SystemSilent as error:
        raise SystemAway(str(error)) from error


def _list_earlier_attempts(attempt_id: str) -> list[str]:
    """Of the same trial, the latest last."""
    parsed = parse_attempt_id(attempt_id)
    if parsed is None:
        return []
    sweep_id, number, attempt = parsed
    return [build_attempt_id(sweep_id, number, each) for each in range(1, attempt)]


def _group(
    executions: Sequence[FlyteExecution],
) -> Iterable[tuple[tuple[str, str], list[FlyteExecution]]]:
    """By project and domain: Flyte lists the executions of one."""
    groups: defaultdict[tuple[str, str], list[FlyteExecution]] = defaultdict(list)
    for execution in executions:
        entity = execution.place.entity
        groups[entity.project, entity.domain].append(execution)
    return groups.items()


def _build_reference(execution: FlyteExecution) -> str:
    entity = execution.place.entity
    name = build_execution_name(execution.launch.attempt_id)
    return f"{entity.project}/{entity.domain}/{name}"
