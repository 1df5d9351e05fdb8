"""The engine of one process: its actors, its committer, and the way to both."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from operator import attrgetter
from typing import Any

from psycopg_pool import AsyncConnectionPool

from service.domain.errors import (
    DatabaseUnavailable,
    StudyNotFound,
    StudyReloading,
    SweepNotFound,
)
from service.engine.actor import Actor
from service.engine.committer import Committer, Ownership, Probe, no_probe
from service.engine.insights import Insights
from service.engine.offers import Offers
from service.engine.reaper import reap
from service.engine.replica.replicas import INSIGHT_PROCESSES, Replicas, Rooms, open_rooms
from service.engine.restoring import RestoredStudy, restore_study
from service.engine.sampling import Sampling
from service.engine.trial_ids import TrialIds
from service.engine.user_code import CodeRunner
from service.storage.adoption import PlainStudies
from service.storage.attempts import AttemptTable
from service.storage.database import Database
from service.storage.driver_errors import unavailable_when_lost
from service.storage.launches import LaunchTable
from service.storage.loader import load_study
from service.storage.mirrors import MirrorTable
from service.storage.reads import Reads
from service.storage.studies import StudyTable
from service.storage.sweeps import SweepReads
from service.storage.tokens import TokenTable
from service.storage.workers import WorkerTable

_POOL_SIZE = 8
_POOL_WAIT_SECONDS = 3.0
# Left to itself the pool would wait ever longer between tries; this way the next caller tries.
_POOL_RECONNECT_SECONDS = 2.0
_FIRST_CONNECTION_SECONDS = 2.0
_IDLE_SECONDS = 300.0
# At about 20 kB each.
_MAX_TRIALS_IN_MEMORY = 100_000


def read_clock() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)


class Engine:
    """Keeps one actor per active study. Belongs to the event loop.

    Attributes:
        reads: Committed state, for whoever only looks.
        studies: Whole studies, for creating and deleting them.
        plain_studies: Those of plain Optuna, for adopting them and giving them back.
        sweeps: Studies that are launched, for whoever only looks.
        attempts: What workers were given, and the logs of it.
        workers: What they say of themselves.
        launches: What there is to launch, and what workers have.
        mirrors: Sweeps that outside systems have for the runs of ours.
        offers: Tells that there may be more of it; closed, nobody waits for trials any more.
        tokens: Those that administrators made.
        code_runner: Runs users' Python.
        insights: Importances and plots.
        clock: Gives the current time, aware.
    """

    def __init__(
        self,
        database: Database,
        *,
        pool: AsyncConnectionPool[Any],
        committer: Committer,
        sampling_threads: Executor,
        code_runner: CodeRunner,
        rooms: Rooms,
        clock: Callable[[], datetime],
        max_trials_in_memory: int,
    ) -> None:
        self.reads = Reads(pool)
        self.studies = StudyTable(pool)
        self.plain_studies = PlainStudies(pool)
        self.sweeps = SweepReads(pool)
        self.attempts = AttemptTable(pool)
        self.workers = WorkerTable(pool)
        self.launches = LaunchTable(pool)
        self.mirrors = MirrorTable(pool)
        self.offers = Offers()
        self.tokens = TokenTable(pool)
        self.clock = clock
        self._database = database
        self._pool = pool
        self._committer = committer
        self._sampling_threads = sampling_threads
        self.code_runner = code_runner
        self.insights = Insights(rooms.insights.threads, places=INSIGHT_PROCESSES)
        self._rooms = rooms
        self._max_trials_in_memory = max_trials_in_memory
        self._actors: dict[str, Actor] = {}
        self._opening: dict[str, asyncio.Task[Actor]] = {}
        self._removing: set[str] = set()
        self._studies_by_sweep: dict[str, str] = {}

    async def get_actor(self, name: str) -> Actor:
        """Returns the live actor of a study, loading the study if need be.

        Raises:
            StudyNotFound: There is no managed study of that name.
            StudyReloading: It is being removed.
            StudyOwnedElsewhere: Another process serves it.
            DatabaseUnavailable: It cannot be loaded just now.
        """
        actor = self._actors.get(name)
        if actor is not None and actor.ownership.error is None:
            actor.used_at = asyncio.get_running_loop().time()
            return actor
        self._check_not_removing(name)
        opening = self._opening.get(name)
        if opening is None:
            opening = self._opening[name] = asyncio.create_task(self._open(name))
            opening.add_done_callback(lambda _: self._opening.pop(name))
        # Shielded: whoever opens first may go away, the others wait on.
        return await asyncio.shield(opening)

    async def get_sweep_actor(self, sweep_id: str) -> Actor:
        """Returns the live actor of the study that is this sweep.

        Raises:
            SweepNotFound: There is no such sweep.
            StudyReloading, StudyOwnedElsewhere, DatabaseUnavailable: As `get_actor`.
        """
        name = self._studies_by_sweep.get(sweep_id) or await self.launches.find_study(sweep_id)
        if name is None:
            raise SweepNotFound(f"There is no sweep {sweep_id!r} here; it may have been deleted.")
        self._studies_by_sweep[sweep_id] = name
        try:
            actor = await self.get_actor(name)
        except StudyNotFound:
            del self._studies_by_sweep[sweep_id]
            raise
        if actor.sweep is None or actor.sweep.sweep_id != sweep_id:
            del self._studies_by_sweep[sweep_id]
            raise SweepNotFound(f"Sweep {sweep_id!r} was deleted.")
        return actor

    def leave(self) -> None:
        """Has nobody wait any more, because the server is about to end."""
        self.offers.close()
        self._rooms.refuse()
        self.code_runner.close()

    def list_actors(self) -> list[Actor]:
        """The studies that are held in memory, and that this process may write."""
        return [actor for actor in self._actors.values() if actor.ownership.error is None]

    def count_actors(self) -> int:
        """How many studies are held in memory."""
        return len(self.list_actors())

    def count_live_attempts(self) -> int:
        """How many attempts of those studies somebody is at."""
        return sum(actor.attempts.count_live for actor in self.list_actors())

    def count_queued_operations(self) -> int:
        """How many operations wait for the next transaction."""
        return self._committer.queue_depth

    async def list_overdue(self) -> list[str]:
        """Names of the studies that should have been attended to, and are not held here.

        Raises:
            DatabaseUnavailable
        """
        held = {actor.spec.name for actor in self.list_actors()}
        overdue = await self.studies.list_overdue(self.clock())
        return [name for name in overdue if name not in held]

    async def put_idle_aside(self, *, idle_seconds: float = _IDLE_SECONDS) -> None:
        """Forgets studies, longest unused first, while too many trials are in memory.

        Only studies at which nobody is at work, and with which nobody had to do for some time; the
        next call loads them again. Ends the processes beside the server that nobody has used for
        as long.

        Raises:
            DatabaseUnavailable: Their locks could not be given back just now.
        """
        self._rooms.end_idle(idle_seconds)
        self._actors = {actor.spec.name: actor for actor in self.list_actors()}
        excess = sum(actor.count_trials for actor in self._actors.values())
        excess -= self._max_trials_in_memory
        used_before = asyncio.get_running_loop().time() - idle_seconds
        for actor in sorted(self._actors.values(), key=attrgetter("used_at")):
            if excess <= 0 or actor.used_at > used_before:
                return
            if actor.is_idle:
                excess -= actor.count_trials
                await self._put_aside(actor)

    @asynccontextmanager
    async def removing(self, name: str) -> AsyncIterator[int]:
        """Holds a study back from everybody, for its removal; gives its id.

        Raises:
            StudyNotFound, StudyReloading, StudyOwnedElsewhere, DatabaseUnavailable
        """
        self._check_not_removing(name)
        self._removing.add(name)
        try:
            if name in self._opening:
                await asyncio.wait([self._opening[name]])
            ownership = await self._committer.own(await self._find_id(name))
            self._actors.pop(name, None)
            await self._committer.end(ownership, _being_removed(name))
            try:
                yield ownership.study_id
            finally:
                await self._committer.disown(ownership)
        finally:
            self._removing.remove(name)

    async def _open(self, name: str) -> Actor:
        ownership = await self._committer.own(await self._find_id(name))
        try:
            actor = await self._load(name, ownership)
        except BaseException:
            with suppress(DatabaseUnavailable):
                await self._committer.disown(ownership)
            raise
        self._actors[name] = actor
        return actor

    async def _put_aside(self, actor: Actor) -> None:
        self._actors.pop(actor.spec.name, None)
        moved = StudyReloading("The study was put aside to save memory. Try again shortly.")
        await self._committer.end(actor.ownership, moved)
        await self._committer.disown(actor.ownership)

    async def _find_id(self, name: str) -> int:
        study_id = await self.studies.find_id(name)
        if study_id is None:
            raise _not_found(name)
        return study_id

    def _restore(self, study_id: int, trial_ids: TrialIds) -> RestoredStudy | None:
        with unavailable_when_lost():
            loaded = load_study(self._database, study_id)
        if loaded is None:
            return None
        return restore_study(loaded, new_trial_id=trial_ids.take, clock=self.clock)

    def _check_not_removing(self, name: str) -> None:
        if name in self._removing:
            raise _being_removed(name)

    def _build_sampling(self, replicas: Replicas, *, runs_code: bool) -> Sampling:
        if replicas.draws:
            return Sampling(self._rooms.sampling.threads, is_waiting=True)
        threads = self.code_runner.threads if runs_code else self._sampling_threads
        return Sampling(threads, is_waiting=runs_code)

    async def _load(self, name: str, ownership: Ownership) -> Actor:
        trial_ids = TrialIds(self._pool)
        restored = await asyncio.to_thread(self._restore, ownership.study_id, trial_ids)
        if restored is None:
            raise _not_found(name)
        spec = restored.loaded.spec
        run_code = self.code_runner.bind(spec)
        replicas = self._rooms.open_replicas(
            ownership.study_id, spec, start_code=partial(self.code_runner.start_replica, spec)
        )
        return Actor(
            restored,
            ownership=ownership,
            committer=self._committer,
            trial_ids=trial_ids,
            sampling=self._build_sampling(
                replicas, runs_code=run_code is not None or spec.has_terminator
            ),
            clock=self.clock,
            offers=self.offers,
            replicas=replicas,
            run_code=run_code,
        )


@asynccontextmanager
async def open_engine(
    database: Database,
    *,
    clock: Callable[[], datetime] = read_clock,
    reap_every_seconds: float | None = 1.0,
    max_trials_in_memory: int = _MAX_TRIALS_IN_MEMORY,
    code_runner: CodeRunner | None = None,
    sampler_processes: int = 4,
    sampler_timeout_seconds: float = 300.0,
    probe: Probe = no_probe,
    committer_type: type[Committer] = Committer,
) -> AsyncIterator[Engine]:
    """Runs an engine on a migrated database; on leaving, commits what is pending.

    The database may be away: the engine answers `DatabaseUnavailable` until it is back.

    Args:
        reap_every_seconds: How often overdue attempts are looked for; None: never, `expire` is
            called by somebody else.
        max_trials_in_memory: Of all studies that are held at a time; those in use may exceed it.
        code_runner: For users' Python, ended with the engine; None: none is run.
        sampler_processes: How many heavy samplers may have a process at a time.
        sampler_timeout_seconds: How long one draw of such a sampler may take.
        probe: Called at the points of a commit, for tests that kill the process there.
        committer_type: For tests that show what a committer with a mistake would do.
    """
    pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
        database.conninfo,
        min_size=1,
        max_size=_POOL_SIZE,
        timeout=_POOL_WAIT_SECONDS,
        reconnect_timeout=_POOL_RECONNECT_SECONDS,
        open=False,
        check=AsyncConnectionPool.check_connection,
        kwargs={"autocommit": True},
    )
    committer = committer_type(database, probe=probe)
    # One thread: samplers are bound by the interpreter lock, more would only take turns.
    with (
        ThreadPoolExecutor(1, thread_name_prefix="sampling") as sampling_threads,
        code_runner or CodeRunner(None) as runner,
        open_rooms(sampler_processes, sampler_timeout_seconds=sampler_timeout_seconds) as rooms,
    ):
        async with pool:
            engine = Engine(
                database,
                pool=pool,
                committer=committer,
                sampling_threads=sampling_threads,
                code_runner=runner,
                rooms=rooms,
                clock=clock,
                max_trials_in_memory=max_trials_in_memory,
            )
            async with _running(committer.run()):
                await committer.wait_connected(_FIRST_CONNECTION_SECONDS)
                if reap_every_seconds is None:
                    yield engine
                else:
                    async with _running(reap(engine, every_seconds=reap_every_seconds)):
                        yield engine
                await committer.drain()


@asynccontextmanager
async def _running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _not_found(name: str) -> StudyNotFound:
    return StudyNotFound(
        f"There is no study {name!r} here. Create it first; if plain Optuna made it, "
        "adopt it first."
    )


def _being_removed(name: str) -> StudyReloading:
    return StudyReloading(
        f"Study {name!r} is being deleted or released. Try again to see what has become of it."
    )
