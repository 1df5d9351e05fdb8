"""A replica of one study, as the server sees it: brought up to date, asked, started again."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from service.domain.errors import ProcessUnavailable
from service.domain.studies import StudySpec
from service.engine.mirror import Mirror
from service.engine.replica.child import Child, ChildGone
from service.engine.replica.feed import Feed
from service.engine.replica.messages import (
    Accepted,
    Begin,
    Call,
    Drafted,
    Load,
    Trials,
)
from service.storage.journal import Mutation

# Pickling holds the interpreter lock: some milliseconds at a time, and requests in between.
_TRIALS_PER_MESSAGE = 100

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """A study as an operation found it.

    Attributes:
        mirror: A fork that nobody changes.
    """

    mirror: Mirror
    revision: int


class Room(Protocol):
    """Where replicas run: a few of them at a time."""

    def enter(self, replica: "Replica") -> Child:
        """Starts a process for it, and ends another replica's if need be."""

    def touch(self, replica: "Replica") -> None:
        """Notes that it is in use; the one that was not for the longest time has to go first."""

    def leave(self, replica: "Replica") -> None:
        """Its process has ended."""


class Replica:
    """A copy of a study in a process of its own, which is started when there is something to do.

    Any thread may call; calls take turns.

    Attributes:
        feed: What the study accepts, while there is a process that has not heard of it.
    """

    def __init__(self, study_id: int, spec: StudySpec, room: Room) -> None:
        self.feed = Feed()
        self._study_id = study_id
        self._spec = spec
        self._room = room
        self._turn = threading.Lock()
        self._child: Child | None = None
        self._is_closed = False
        self._moment: Moment | None = None
        self._revision = 0
        self._n_told = 0

    def call(
        self,
        moment: Moment,
        call: Call,
        *,
        drafted: Sequence[Mutation] = (),
        apply: Callable[[Any], int] | None = None,
    ) -> dict[str, Any]:
        """Returns the answer of the process to a call, in the state of a moment and a draft of it.

        A process that ends or takes too long is replaced, and the call made once more.

        Args:
            drafted: The draft's journal.
            apply: Puts the `writes` of the answer into the draft; returns how long its journal is
                then.

        Raises:
            ProcessUnavailable: The second one failed as well, or the study is served no more.
        """
        with self._taking_turn():
            answer = self._call_twice(moment, call, drafted)
            if apply is not None:
                self._n_told = apply(answer["writes"])
            return answer

    def close(self) -> None:
        """Ends it for good; returns at once. A call that is under way fails."""
        self._is_closed = True
        self.feed.close()
        if (child := self._child) is not None:
            child.kill()

    def bury(self) -> None:
        """Returns once a closed one is gone."""
        with self._turn:
            self._forget_child()

    def put_aside(self) -> bool:
        """Ends its process for now, unless it is in use; tells whether it did."""
        if not self._turn.acquire(blocking=False):
            return False
        try:
            self._forget_child()
            return True
        finally:
            self._turn.release()

    @contextmanager
    def _taking_turn(self) -> Iterator[None]:
        with self._turn:
            try:
                yield
            finally:
                if self._is_closed:
                    self._forget_child()

    def _call_twice(
        self, moment: Moment, call: Call, drafted: Sequence[Mutation]
    ) -> dict[str, Any]:
        try:
            return self._call(moment, call, drafted)
        except ChildGone as error:
            self._note_failure(error)
        try:
            return self._call(moment, call, drafted)
        except ChildGone as error:
            self._note_failure(error)
            raise _build_unavailable(error) from error

    def _note_failure(self, error: ChildGone) -> None:
        self._forget_child()
        self._check_open()
        _log.warning("replica.failed", study=self._spec.name, reason=str(error))

    def _call(self, moment: Moment, call: Call, drafted: Sequence[Mutation]) -> dict[str, Any]:
        self._check_open()
        if self._child is None:
            self._child = self._room.enter(self)
        self._room.touch(self)
        if moment is not self._moment:
            self._bring_to(self._child, moment)
        if new := drafted[self._n_told :]:
            self._child.tell(Drafted(new))
            self._n_told = len(drafted)
        return self._child.ask(call)

    def _bring_to(self, child: Child, moment: Moment) -> None:
        missing = None
        if self._moment is not None:
            missing = self.feed.take(after=self._revision, until=moment.revision)
        # Half-way, the process is in no state that we know.
        self._moment = None
        if missing is None:
            self._load(child, moment.mirror)
        elif missing:
            child.tell(Accepted(missing))
        child.tell(Begin())
        self._moment, self._revision, self._n_told = moment, moment.revision, 0

    def _load(self, child: Child, mirror: Mirror) -> None:
        load = Load(self._study_id, self._spec, mirror.user_attrs, mirror.system_attrs)
        child.tell(load)
        trials = mirror.get_all_trials(self._study_id, deepcopy=False)
        for start in range(0, len(trials), _TRIALS_PER_MESSAGE):
            child.tell(Trials(trials[start : start + _TRIALS_PER_MESSAGE]))

    def _forget_child(self) -> None:
        self._moment = None
        self.feed.close()
        if self._child is not None:
            self._child.bury()
            self._child = None
            self._room.leave(self)

    def _check_open(self) -> None:
        if self._is_closed:
            raise ProcessUnavailable("The study is being read again. Try again shortly.")


def _build_unavailable(error: ChildGone) -> ProcessUnavailable:
    return ProcessUnavailable(
        f"The process that computes for this study failed twice: {error}. Nothing was changed. Try "
        "again; if it stays so, see the server's log."
    )
