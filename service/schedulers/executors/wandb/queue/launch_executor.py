"""Launches attempts by W&B Launch: pushed to a queue, run by whichever agent takes them.

Nothing is kept on the worker's machine. Everything is found by outside names, the run's id above
all, so a worker that takes over from another one sees what that one saw.

W&B promises nothing for a push that is repeated, so an attempt is executed at least once: the queue
and the project are searched before a push, and what waits twice is taken out after it. Two agents
can still get the same run if both took it at once: an answer was lost, or a worker was frozen in
the middle of its push.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NoReturn

from service.domain.sweeps import describe_resume
from service.schedulers.executors.base import (
    ErrorKind,
    Launch,
    LaunchRefused,
    Sighting,
    StopKind,
    SweepRefused,
    Watch,
)
from service.schedulers.executors.connection.connection import SystemRefused, SystemSilent
from service.schedulers.executors.looking import BackgroundLooks, build_sightings
from service.schedulers.executors.wandb.queue.launch_api import (
    LaunchQueueApi,
    Push,
    Queue,
    QueueView,
)
from service.schedulers.executors.wandb.queue.launch_queue import (
    build_push,
    choose_extras,
    choose_item,
    choose_own,
    find_queue,
    is_waiting,
)
from service.schedulers.executors.wandb.queue.launched_runs import LaunchedRun, Look
from service.schedulers.executors.wandb.runs.deleted_sweeps import leave_deleted_sweep
from service.schedulers.executors.wandb.runs.refusals import blame_worker, blaming_worker
from service.schedulers.executors.wandb.runs.run_api import RunView, WandbApi, classify_error
from service.schedulers.executors.wandb.runs.run_settings import RunSettings
from service.schedulers.executors.wandb.runs.run_states import is_over, is_silent
from service.schedulers.executors.wandb.runs.runs import (
    RunPath,
    find_entity,
    find_project,
    find_run_url,
)


class WandbLaunchExecutor:
    """Each attempt is an item of a launch queue, then a run.

    Its attempts are looked at together: one request for the runs of a project, one for the items
    of a queue, and none for a queue whose runs are all there. In between `poll` answers from what
    was seen last.
    """

    name = "wandb-launch"
    is_shared = True

    def __init__(self, api: WandbApi, queues: LaunchQueueApi, settings: RunSettings) -> None:
        self._api = api
        self._queues = queues
        self._settings = settings
        self._runs: dict[str, LaunchedRun] = {}
        self._looks = BackgroundLooks(
            self.name,
            self._look_at,
            is_expected=self._is_expected,
            tick_seconds=settings.tick_seconds,
            soonest_seconds=settings.soonest_seconds,
            clock=settings.clock,
        )
        self._known_jobs: set[str] = set()
        # References of attempts whose run was seen.
        self._with_page: set[str] = set()

    async def launch(self, launch: Launch) -> str:
        with blaming_worker():
            run = await self._find_run(launch)
            look = await self._search(run)
        run.note_earlier(look.view)
        is_there = run.has_run(look.view) or look.item is not None
        # What may be out of sight is not pushed again: its run is waited for.
        is_there = is_there or (run.may_be_pushed and not look.is_queue_read)
        if not is_there and not run.stop.is_wanted:
            await self._push(run, look)
        run.is_found = True
        return run.path.external_ref

    async def poll(self, watches: Sequence[Watch]) -> Mapping[str, Sighting]:
        self._looks.want(watch.launch for watch in watches)
        return build_sightings(watches, self._runs)

    async def stop(self, launch: Launch, kind: StopKind) -> None:  # noqa: ARG002 (there is one way)
        """Takes it out of the queue, or has W&B tell it to end, which takes up to a minute.

        What an agent has taken and not begun yet is told once its run is there.
        """
        run = await self._find_run(launch)
        run.stop.want(self._settings.clock())
        if run.ending is None:
            await self._obey(run, await self._search(run))

    async def forget(self, launch: Launch) -> None:
        """Nothing is kept outside; what still runs there goes on."""
        run = self._runs.pop(launch.attempt_id, None)
        if run is not None:
            self._with_page.discard(run.path.external_ref)
        self._looks.forget(launch.attempt_id)

    async def list_left_over(self, known: Collection[str]) -> list[str]:  # noqa: ARG002 (see above)
        return []

    def url(self, external_ref: str) -> str | None:
        """None until its run was seen: there may never be one."""
        has_page = external_ref in self._with_page
        return find_run_url(external_ref, self._settings.environment) if has_page else None

    def classify(self, error: Exception) -> ErrorKind:
        return classify_error(error)

    async def tend(self) -> None:
        return None

    async def _find_run(self, launch: Launch) -> LaunchedRun:
        run = self._runs.get(launch.attempt_id)
        if run is None:
            path = await self._find_path(launch)
            named = replace(launch, run_id=path.run_id)
            run = LaunchedRun(named, path, find_queue(launch, path.entity))
            run = self._runs.setdefault(launch.attempt_id, run)
        return run

    async def _find_path(self, launch: Launch) -> RunPath:
        if launch.external_ref is not None:
            # Whoever launched it may have had another account.
            return RunPath(*launch.external_ref.split("/"))
        entity = find_entity(launch.arguments, self._settings.environment)
        if entity is None:
            entity = (self._api.account or await self._api.find_account()).entity
        # Launch agents write it like this, whatever they were told.
        project = find_project(launch.arguments, self._settings.environment).lower()
        return RunPath(entity, project, launch.run_id or launch.attempt_id)

    async def _push(self, run: LaunchedRun, look: Look) -> None:
        if not look.has_queue:
            await self._refuse_sweep(
                f"There is no launch queue {run.queue} in W&B, or this worker may not see it. "
                f"Create it and run {describe_resume(run.launch.study)}; or begin a sweep with "
                "another `launch_queue`."
            )
        await self._check_job(run.launch)
        launch = await leave_deleted_sweep(run.launch, run.path, self._api)
        if not await self._try_to_push(run, build_push(launch, run.path)):
            # The next try finds out whether the queue is gone.
            raise SystemRefused(f"W&B took no run for the launch queue {run.queue}.")
        # Whoever pushed the same at the same time sees the same, and keeps the same one of them.
        await self._choose(run, look, await self._queues.find_items(run.queue, [run.path.run_id]))

    async def _try_to_push(self, run: LaunchedRun, push: Push) -> bool:
        try:
            run.may_be_pushed = await self._queues.push(run.queue, push)
        except SystemSilent:
            run.may_be_pushed = True
            raise
        except SystemRefused as error:
            if error.is_about_key:
                raise blame_worker(error) from error
            raise LaunchRefused(
                f"W&B does not take the run for the launch queue {run.queue}: {error}"
            ) from error
        return run.may_be_pushed

    async def _check_job(self, launch: Launch) -> None:
        """An agent would find out too, but only when it is the attempt's turn."""
        job = launch.arguments.get("job")
        if job is None or job in self._known_jobs:
            return
        with blaming_worker():
            problem = await self._queues.find_job_problem(job)
        if problem is not None:
            await self._refuse_sweep(
                f"W&B has no job {job}: {problem.rstrip('.')}. Create it and run "
                f"{describe_resume(launch.study)}; or begin a sweep with another `job`."
            )
        self._known_jobs.add(job)

    async def _refuse_sweep(self, reason: str) -> NoReturn:
        # To a key that W&B does not know, it may answer as if nothing was there.
        with blaming_worker():
            await self._api.find_account()
        raise SweepRefused(reason)

    async def _search(self, run: LaunchedRun) -> Look:
        """Looks for one attempt wherever it can be."""
        path = run.path
        views = await self._api.find_runs(path.entity, path.project, [path.run_id])
        look = _build_look(run, views)
        if run.has_run(look.view):
            return look
        queue = await self._queues.find_items(run.queue, [path.run_id])
        return await self._choose(run, look, queue)

    async def _choose(self, run: LaunchedRun, look: Look, queue: QueueView | None) -> Look:
        """Finds the attempt's item; takes out what is there twice, or not to be started."""
        if queue is None:
            return replace(look, has_queue=False, is_queue_read=False)
        own = choose_own(run.launch, queue.items)
        item = choose_item(own)
        unwanted = own if run.stop.is_wanted else choose_extras(own)
        for each in filter(is_waiting, unwanted):
            # Whether it was still there to be taken out, the next look shows.
            await self._queues.remove(queue.queue_id, each)
        return replace(look, item=item, is_queue_read=queue.is_complete)

    async def _obey(self, run: LaunchedRun, look: Look) -> None:
        view = run.find_own(look.view)
        if view is None or view.is_stopped:
            return
        if is_silent(view) or not is_over(view):
            await self._api.flag_stop(run.path)

    def _is_expected(self, attempt_id: str) -> bool:
        run = self._runs.get(attempt_id)
        return run is None or not run.is_found or run.stop.is_wanted

    async def _look_at(self, launches: Sequence[Launch]) -> None:
        runs = [await self._find_run(launch) for launch in launches]
        looks = await self._see_runs([run for run in runs if run.ending is None])
        waiting = [run for run, look in looks if not run.has_run(look.view)]
        queues = await self._see_queues(waiting)
        for run, look in looks:
            with self._looks.noting_trouble([run]):
                if run.has_run(look.view):
                    await self._take_in(run, look)
                elif run.queue in queues:
                    await self._take_in(run, await self._choose(run, look, queues[run.queue]))

    async def _see_runs(self, runs: Iterable[LaunchedRun]) -> list[tuple[LaunchedRun, Look]]:
        """Returns what W&B has of those that can be looked at, by one request for a project."""
        groups: defaultdict[tuple[str, str], list[LaunchedRun]] = defaultdict(list)
        for run in runs:
            groups[run.path.entity, run.path.project].append(run)
        seen: list[tuple[LaunchedRun, Look]] = []
        for place, group in groups.items():
            with self._looks.noting_trouble(group):
                views = await self._api.find_runs(*place, [run.path.run_id for run in group])
                found = [(run, _build_look(run, views)) for run in group]
                self._with_page |= {
                    run.path.external_ref for run, look in found if look.view is not None
                }
                seen += found
        return seen

    async def _see_queues(self, runs: Iterable[LaunchedRun]) -> dict[Queue, QueueView | None]:
        """Returns what is in those that can be looked at, by one listing of each."""
        groups: defaultdict[Queue, list[LaunchedRun]] = defaultdict(list)
        for run in runs:
            groups[run.queue].append(run)
        seen = {}
        for queue, group in groups.items():
            with self._looks.noting_trouble(group):
                seen[queue] = await self._queues.find_items(
                    queue, [run.path.run_id for run in group]
                )
        return seen

    async def _take_in(self, run: LaunchedRun, look: Look) -> None:
        now = self._settings.clock()
        run.take_in(look, now)
        # Whatever keeps it from being read must not keep it from being stopped.
        with self._looks.noting_trouble([run]):
            if run.stop.is_to_be_told:
                await self._obey(run, look)
            await run.history.read_on(self._api, run.path, run.find_own(look.view))
        run.judge(now)


def _build_look(run: LaunchedRun, views: Mapping[str, RunView] | None) -> Look:
    """What there is to see of an attempt in the project of its run; None: nobody may see that."""
    if views is None:
        return Look(None, has_project=False)
    return Look(views.get(run.path.run_id))
