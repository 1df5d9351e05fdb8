"""Launches attempts as runs of a sweep in W&B, for whichever `wandb agent` takes them.

Nothing is kept on the worker's machine. A run's id is W&B's choice, and an enqueuing that is
repeated makes another run: an attempt is found by the sweep and its run's display name, before a
run is enqueued and after it. What was enqueued twice is stopped while it waits. Two agents can
still get the same attempt if both took it at once, or if W&B shows a new run late.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from service.domain.attempts import parse_attempt_id
from service.schedulers.executors.base import (
    ErrorKind,
    Launch,
    LaunchRefused,
    Sighting,
    StopKind,
    SweepRefused,
    Watch,
)
from service.schedulers.executors.connection.connection import SystemRefused
from service.schedulers.executors.looking import BackgroundLooks, build_sightings
from service.schedulers.executors.wandb.agents.agent_api import AgentApi
from service.schedulers.executors.wandb.agents.agent_runs import AgentRun
from service.schedulers.executors.wandb.runs.refusals import (
    blame_worker,
    blaming_worker,
    describe_hidden_project,
)
from service.schedulers.executors.wandb.runs.run_api import RunView, WandbApi, classify_error
from service.schedulers.executors.wandb.runs.run_settings import RunSettings
from service.schedulers.executors.wandb.runs.run_states import is_at_work, is_over, is_silent
from service.schedulers.executors.wandb.runs.runs import (
    RunPath,
    find_entity,
    find_project,
    find_run_url,
)
from service.schedulers.executors.wandb.sweeps.made_sweeps import SweepRef

# As a shell has it of a program that SIGTERM ended, which is how agents do.
_TERMINATED = 143

_NO_SWEEP = "There is no sweep in W&B for it yet; `asktell sweep show` says why."
_CANNOT_ENQUEUE = (
    "This W&B server cannot enqueue runs of a sweep. Upgrade it, or begin a sweep with the "
    "executor wandb or wandb-launch."
)


class WandbAgentExecutor:
    """Each attempt is a run that waits in a sweep until an agent takes it.

    Its attempts are looked at together: one request for the runs of a project, and as long as some
    of them wait, one for those of each sweep. In between `poll` answers from what was seen last.
    """

    name = "wandb-agent"
    is_shared = True

    def __init__(self, api: WandbApi, agents: AgentApi, settings: RunSettings) -> None:
        self._api = api
        self._agents = agents
        self._settings = settings
        self._runs: dict[str, AgentRun] = {}
        self._looks = BackgroundLooks(
            self.name,
            self._look_at,
            is_expected=self._is_expected,
            tick_seconds=settings.tick_seconds,
            soonest_seconds=settings.soonest_seconds,
            clock=settings.clock,
        )

    async def launch(self, launch: Launch) -> str:
        with blaming_worker():
            run = await self._open_run(launch)
            if run.sweep is None:
                raise SystemRefused(_NO_SWEEP)
            if run.name is None:
                await self._search(run.sweep, [run])
        if run.name is None:
            run.name = await self._enqueue(run, run.sweep)
            # Whoever did the same at the same time sees the same, and keeps the same one of them.
            await self._search(run.sweep, [run])
        run.is_found = True
        return f"{run.sweep.entity}/{run.sweep.project}/{run.name}/{launch.attempt_id}"

    async def poll(self, watches: Sequence[Watch]) -> Mapping[str, Sighting]:
        self._looks.want(watch.launch for watch in watches)
        return build_sightings(watches, self._runs)

    async def stop(self, launch: Launch, kind: StopKind) -> None:  # noqa: ARG002 (there is one way)
        """Has W&B tell its agent to end it, which takes seconds; what waits is never begun."""
        run = await self._open_run(launch)
        run.stop.want(self._settings.clock())
        if run.ending is not None or run.sweep is None:
            return
        if not run.is_settled:
            await self._search(run.sweep, [run])
        await self._see(run.sweep, [run])
        await self._obey(run)

    async def forget(self, launch: Launch) -> None:
        """Nothing is kept outside; what still runs there goes on."""
        self._runs.pop(launch.attempt_id, None)
        self._looks.forget(launch.attempt_id)

    async def list_left_over(self, known: Collection[str]) -> list[str]:  # noqa: ARG002 (see above)
        return []

    def url(self, external_ref: str) -> str | None:
        return find_run_url(external_ref.rpartition("/")[0], self._settings.environment)

    def classify(self, error: Exception) -> ErrorKind:
        return classify_error(error)

    async def tend(self) -> None:
        return None

    async def _open_run(self, launch: Launch) -> AgentRun:
        run = self._runs.get(launch.attempt_id)
        if run is None:
            sweep = await self._find_sweep(launch)
            run = AgentRun(launch, sweep, _find_name(launch, sweep))
            run = self._runs.setdefault(launch.attempt_id, run)
        elif run.sweep is None:
            run.sweep = await self._find_sweep(launch)
        return run

    async def _find_sweep(self, launch: Launch) -> SweepRef | None:
        """The sweep at W&B; looked for if there was none yet when the attempt began."""
        if launch.mirror_ref is not None:
            return SweepRef.parse(launch.mirror_ref)
        parts = parse_attempt_id(launch.attempt_id)
        if parts is None or not launch.study:
            # Nobody wants it any more, and its id is all that is known of it.
            return None
        entity = find_entity(launch.arguments, self._settings.environment)
        project = find_project(launch.arguments, self._settings.environment)
        return await self._agents.find_sweep(entity, project, parts[0])

    async def _enqueue(self, run: AgentRun, sweep: SweepRef) -> str:
        if run.stop.is_wanted:
            raise LaunchRefused("Stopped before it was launched.")
        try:
            name = await self._agents.enqueue(sweep, run.launch.params, run.label)
        except SystemRefused as error:
            if error.is_about_key:
                raise blame_worker(error) from error
            if await self._agents.is_over(sweep):
                # Whoever keeps the sweep finds that out too, and then ours starts no more.
                raise
            raise LaunchRefused(
                f"W&B does not take the run for the sweep {sweep}: {error}"
            ) from error
        if name is None:
            raise SweepRefused(_CANNOT_ENQUEUE)
        return name

    async def _search(self, sweep: SweepRef, runs: Sequence[AgentRun]) -> list[AgentRun]:
        """Looks for runs by their labels; keeps what is there twice from beginning.

        Returns:
            Those that are other ones at W&B than was known before.
        """
        before = [run.name for run in runs]
        enqueued = await self._agents.list_enqueued(sweep, [run.label for run in runs])
        for run in runs:
            for extra in run.choose(enqueued):
                await self._api.flag_stop(RunPath(sweep.entity, sweep.project, extra.name))
        return [run for run, name in zip(runs, before, strict=True) if run.name != name]

    async def _see(self, sweep: SweepRef | None, runs: Sequence[AgentRun]) -> None:
        names = [run.name for run in runs if run.name is not None]
        views: Mapping[str, RunView] | None = {}
        if sweep is not None and names:
            views = await self._api.find_runs(sweep.entity, sweep.project, names)
        now = self._settings.clock()
        for run in runs:
            if views is None:
                run.note_hidden(now)
            else:
                run.take_in(views.get(run.name or ""), now)
        if sweep is not None and views is None:
            raise SystemRefused(describe_hidden_project(sweep.entity, sweep.project))

    async def _obey(self, run: AgentRun) -> None:
        """Has it told to end; ends for W&B what has ended without a word, as agents end programs.

        W&B would find that out too, but only after minutes.
        """
        view, path = run.seen, run.path
        if view is None or path is None or (is_over(view) and not is_silent(view)):
            return
        if not view.is_stopped:
            await self._api.flag_stop(path)
        elif is_at_work(view):
            heartbeat = await self._agents.read_heartbeat(path)
            if run.is_silent(heartbeat, self._settings.clock()):
                await self._api.end_run(path, _TERMINATED)

    def _is_expected(self, attempt_id: str) -> bool:
        run = self._runs.get(attempt_id)
        return run is None or not run.is_found or run.stop.is_wanted

    async def _look_at(self, launches: Sequence[Launch]) -> None:
        groups: defaultdict[SweepRef | None, list[AgentRun]] = defaultdict(list)
        for launch in launches:
            with self._looks.noting_trouble(()):
                run = await self._open_run(launch)
                if run.ending is None:
                    groups[run.sweep].append(run)
        for sweep, group in groups.items():
            with self._looks.noting_trouble(group):
                await self._look_at_sweep(sweep, group)

    async def _look_at_sweep(self, sweep: SweepRef | None, runs: Sequence[AgentRun]) -> None:
        await self._see(sweep, runs)
        if sweep is not None:
            unsettled = [run for run in runs if not run.is_settled]
            if unsettled and (found := await self._search(sweep, unsettled)):
                await self._see(sweep, found)
            await self._look_for_end(sweep, [run for run in runs if run.is_waiting])
            await self._look_for_agents(sweep, [run for run in runs if run.is_waiting])
        for run in runs:
            with self._looks.noting_trouble([run]):
                await self._take_in(run)

    async def _look_for_end(self, sweep: SweepRef, waiting: Sequence[AgentRun]) -> None:
        if waiting:
            is_over = await self._agents.is_over(sweep)
            for run in waiting:
                run.is_sweep_over = is_over

    async def _look_for_agents(self, sweep: SweepRef, waiting: Sequence[AgentRun]) -> None:
        now = self._settings.clock()
        if not any(run.start.is_questionable(now) for run in waiting):
            return
        for run in waiting:
            run.start.note_question(now)
        with self._looks.noting_trouble(waiting):
            taken = await self._agents.list_taken(sweep)
            for run in waiting:
                if run.name in taken:
                    run.start.note_taken(now)

    async def _take_in(self, run: AgentRun) -> None:
        now = self._settings.clock()
        run.stop_if_late(now)
        # Whatever keeps it from being read must not keep it from being stopped.
        with self._looks.noting_trouble([run]):
            if run.stop.is_to_be_told:
                await self._obey(run)
            if run.path is not None:
                await run.history.read_on(self._api, run.path, run.seen)
        run.judge(now)


def _find_name(launch: Launch, sweep: SweepRef | None) -> str | None:
    """Returns the run's name as `launch` told it, be it in this life of a worker or another."""
    if sweep is None or launch.external_ref is None:
        return None
    place, _, rest = launch.external_ref.rpartition("/")[0].rpartition("/")
    return rest if place == f"{sweep.entity}/{sweep.project}" else None
