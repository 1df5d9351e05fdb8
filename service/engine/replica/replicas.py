"""The replicas that one study has: one draws, one judges, one is looked at."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from service.domain.studies import StudySpec
from service.domain.user_code import PRUNER_STATE_ATTR, SAMPLER_STATE_ATTR
from service.engine.mirror import Mirror
from service.engine.replica.child import Child
from service.engine.replica.messages import Call
from service.engine.replica.remote_sampler import RemoteSampler
from service.engine.replica.replica import Moment, Process, Replica
from service.engine.replica.room import ReplicaRoom, open_room
from service.engine.replica.user_sampler import RemoteUserSampler
from service.pruners import is_users_pruner
from service.samplers import PerCallSampler, is_users_sampler, needs_process
from service.storage.journal import Mutation

INSIGHT_PROCESSES = 2
_STATE_ATTRS = (PRUNER_STATE_ATTR, SAMPLER_STATE_ATTR)
_start_insights = partial(
    Child, deadline_seconds=60.0, advice="Name fewer params, or take another evaluator."
)
_SAMPLER_ADVICE = (
    "Raise ASKTELL_SAMPLER_TIMEOUT_SECONDS, or go on in a study with another sampler, which may "
    "import the trials of this one."
)


@dataclass(frozen=True, slots=True)
class Rooms:
    """Where replicas run.

    Attributes:
        sampling: Those that draw.
        judging: Those with a pruner that a user wrote; they wait for nobody who draws.
        insights: Those that are looked at, so that nobody's trial waits for a plot.
        start_sampler: Starts a process for a heavy sampler of Optuna's.
    """

    sampling: ReplicaRoom
    judging: ReplicaRoom
    insights: ReplicaRoom
    start_sampler: Callable[[], Process]

    def refuse(self) -> None:
        """Refuses calls from now on, because the server is about to end."""
        self.sampling.refuse()
        self.judging.refuse()
        self.insights.refuse()

    def end_idle(self, idle_seconds: float) -> None:
        """Ends the processes that nobody has used for so long; returns at once."""
        self.sampling.end_idle(idle_seconds)
        self.judging.end_idle(idle_seconds)
        self.insights.end_idle(idle_seconds)

    def open_replicas(
        self, study_id: int, spec: StudySpec, *, start_code: Callable[[], Process]
    ) -> "Replicas":
        """The replicas of a study that has none yet.

        Args:
            start_code: Starts a process for what of the study a user wrote.
        """
        return Replicas(study_id, spec, self, start_code=start_code)


@contextmanager
def open_rooms(sampler_processes: int, *, sampler_timeout_seconds: float) -> Iterator[Rooms]:
    """Rooms that are empty again at the end.

    Args:
        sampler_timeout_seconds: How long one draw of a heavy sampler of Optuna's may take.
    """
    start_sampler = partial(Child, deadline_seconds=sampler_timeout_seconds, advice=_SAMPLER_ADVICE)
    with (
        open_room(sampler_processes) as sampling,
        open_room(sampler_processes) as judging,
        open_room(INSIGHT_PROCESSES) as insights,
    ):
        yield Rooms(sampling, judging, insights, start_sampler)


class Replicas:
    """The replicas of one study; it has none until one is wanted. Belongs to the event loop.

    Attributes:
        draws: Whether the study's sampler runs in one.
        judges: Whether its pruner does.
        is_users: Whether the sampler is a user's.
    """

    def __init__(
        self, study_id: int, spec: StudySpec, rooms: Rooms, *, start_code: Callable[[], Process]
    ) -> None:
        self._rooms = rooms
        self.draws = needs_process(spec.sampler)
        self.judges = is_users_pruner(spec.pruner)
        self.is_users = is_users_sampler(spec.sampler)
        start_sampling = start_code if self.is_users else rooms.start_sampler
        self._sampling = Replica(
            study_id, spec, rooms.sampling, start=start_sampling, without=[PRUNER_STATE_ATTR]
        )
        self._judging = Replica(
            study_id, spec, rooms.judging, start=start_code, without=[SAMPLER_STATE_ATTR]
        )
        self._insights = Replica(
            study_id, spec, rooms.insights, start=_start_insights, without=_STATE_ATTRS
        )

    def note(self, revision: int, journal: Sequence[Mutation]) -> None:
        """Adds what led the study to `revision`."""
        self._sampling.feed.note(revision, journal)
        self._judging.feed.note(revision, journal)
        self._insights.feed.note(revision, journal)

    def open_sampler(
        self, mirror: Mirror, revision: int, *, local: PerCallSampler
    ) -> RemoteSampler:
        """Returns what draws for a draft that begins now.

        Args:
            mirror: The study's own, at `revision`.
        """
        self._sampling.feed.open(revision)
        sampler = RemoteUserSampler if self.is_users else RemoteSampler
        return sampler(self._sampling, Moment(mirror.fork(), revision), local=local)

    def open_judge(self, mirror: Mirror, revision: int) -> "Look":
        """Returns a way to ask a user's pruner or terminator about the study as it is now."""
        self._judging.feed.open(revision)
        moment = Moment(mirror.fork(), revision)
        return Look(self._judging, moment, self._rooms.judging.threads)

    def look(self, mirror: Mirror, revision: int) -> "Look":
        """Returns a way to ask about the study as it is now, likewise."""
        self._insights.feed.open(revision)
        moment = Moment(mirror.fork(), revision)
        return Look(self._insights, moment, self._rooms.insights.threads)

    def close(self) -> None:
        """Ends the replicas for good; returns at once."""
        self._rooms.sampling.close(self._sampling)
        self._rooms.judging.close(self._judging)
        self._rooms.insights.close(self._insights)


@dataclass(frozen=True, slots=True)
class Look:
    """A study at one moment.

    Attributes:
        threads: Where to ask.
    """

    replica: Replica
    moment: Moment
    threads: Executor

    def ask(self, call: Call) -> dict[str, Any]:
        """Returns the answer; see `serving.Answer`. Blocks.

        Raises:
            ProcessUnavailable: The process failed twice.
            FileFailed: A user's code ended it.
        """
        return self.replica.call(self.moment, call)
