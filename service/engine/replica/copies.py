"""The replicas that one study has: one draws, one is looked at."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from service.domain.studies import StudySpec
from service.engine.mirror import Mirror
from service.engine.replica.messages import Call
from service.engine.replica.remote_sampler import RemoteSampler
from service.engine.replica.replica import Moment, Replica
from service.engine.replica.room import ReplicaRoom, open_room
from service.samplers import PerCallSampler, needs_process
from service.storage.journal import Mutation

_INSIGHT_PROCESSES = 2


@dataclass(frozen=True, slots=True)
class Rooms:
    """Where replicas run.

    Attributes:
        sampling: Those that draw.
        insights: Those that are looked at, so that nobody's trial waits for a plot.
    """

    sampling: ReplicaRoom
    insights: ReplicaRoom

    def refuse(self) -> None:
        """Refuses calls from now on, because the server is about to end."""
        self.sampling.refuse()
        self.insights.refuse()

    def open_copies(self, study_id: int, spec: StudySpec) -> "Copies":
        return Copies(study_id, spec, self)


@contextmanager
def open_rooms(sampler_processes: int) -> Iterator[Rooms]:
    """Rooms that are empty again at the end."""
    with open_room(sampler_processes) as sampling, open_room(_INSIGHT_PROCESSES) as insights:
        yield Rooms(sampling, insights)


class Copies:
    """The replicas of one study; it has none until one is wanted. Belongs to the event loop.

    Attributes:
        draws: Whether the study's sampler runs in one.
    """

    def __init__(self, study_id: int, spec: StudySpec, rooms: Rooms) -> None:
        self._rooms = rooms
        self.draws = needs_process(spec.sampler)
        self._sampling = Replica(study_id, spec, rooms.sampling)
        self._insights = Replica(study_id, spec, rooms.insights)

    def note(self, revision: int, journal: Sequence[Mutation]) -> None:
        """Adds what led the study to `revision`."""
        self._sampling.feed.note(revision, journal)
        self._insights.feed.note(revision, journal)

    def open_sampler(
        self, mirror: Mirror, revision: int, *, local: PerCallSampler
    ) -> RemoteSampler:
        """Returns what draws for a draft that begins now.

        Args:
            mirror: The study's own, at `revision`.
        """
        self._sampling.feed.open(revision)
        return RemoteSampler(self._sampling, Moment(mirror.fork(), revision), local=local)

    def look(self, mirror: Mirror, revision: int) -> "Look":
        """Returns a way to ask about the study as it is now, likewise."""
        self._insights.feed.open(revision)
        return Look(self._insights, Moment(mirror.fork(), revision))

    def close(self) -> None:
        """Ends the replicas for good; returns at once."""
        self._rooms.sampling.close(self._sampling)
        self._rooms.insights.close(self._insights)


@dataclass(frozen=True, slots=True)
class Look:
    """A study at one moment."""

    replica: Replica
    moment: Moment

    def ask(self, call: Call) -> dict[str, object]:
        """Returns the answer; see `serving.Answer`. Blocks.

        Raises:
            ProcessUnavailable: The process failed twice.
        """
        return self.replica.call(self.moment, call)
