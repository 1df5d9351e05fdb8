"""A replica of one study, as the server sees it: brought up to date, asked, started again."""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import structlog

from service.domain.errors import ProcessUnavailable
from service.domain.studies import StudySpec
from service.engine.mirror import Mirror
from service.engine.replica.child import ChildGone, TookTooLong
from service.engine.replica.feed import Feed
from service.engine.replica.messages import (
    Accepted,
    Begin,
    Call,
    Drafted,
    Load,
    Message,
    Trials,
)
from service.sandbox import FileFailed
from service.storage.journal import Mutation

# Pickling holds the interpreter lock: some milliseconds at a time, and requests in between.
_MOST_PER_MESSAGE = 100

_T = TypeVar("_T")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """A study as an operation found it.

    Attributes:
        mirror: A fork that nobody changes.
    """

    mirror: Mirror
    revision: int


class Process(Protocol):
    """What runs a replica: see `child.Child`, and `user_child.UserChild` for code of users."""

    def tell(self, message: Message) -> None: ...

    def ask(self, call: Call) -> dict[str, Any]: ...

    def kill(self) -> None: ...

    def bury(self) -> None: ...


class Room(Protocol):
    """Where replicas run: a few of them at a time."""

    def enter(self, replica: "Replica") -> None:
        """Makes place for its process, and ends another replica's if need be."""

    def touch(self, replica: "Replica") -> None:
        """Notes that it is in use; the one that was not for the longest time has to go first."""

    def leave(self, replica: "Replica") -> None:
        """It has no process any more."""


class Replica:
    """A copy of a study in a process of its own, which is started when there is something to do.

    Any thread may call; calls take turns.

    Args:
        start: Starts a process for it.
        without: Attributes of the study that it does not look at.

    Attributes:
        feed: What the study accepts, while there is a process that has not heard of it.
    """

    def __init__(
        self,
        study_id: int,
        spec: StudySpec,
        room: Room,
        *,
        start: Callable[[], Process],
        without: Collection[str] = (),
    ) -> None:
        self.feed = Feed(without=without)
        self._study_id = study_id
        self._spec = spec
        self._room = room
        self._start = start
        self._turn = threading.Lock()
        self._child: Process | None = None
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

        A process that ends is replaced, and the call made once more; for one that takes too long
        there is no use in that.

        Args:
            drafted: The draft's journal.
            apply: Puts the `writes` of the answer into the draft; returns how long its journal is
                then.

        Raises:
            ProcessUnavailable: It took too long, the second one failed as well, or the study is
                served no more.
            FileFailed: Code of the study's user failed in a way that ends its process, or `apply`
                raised it.
        """
        with self._taking_turn():
            answer = self._call_twice(moment, call, drafted)
            if apply is not None:
                # Should that raise, the process knows of writes that the draft does not have.
                self._moment = None
                self._n_told = apply(answer.get("writes"))
                self._moment = moment
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
            return self._call_once(moment, call, drafted)
        except TookTooLong as error:
            raise _build_unavailable(error) from error
        except ChildGone:
            pass
        try:
            return self._call_once(moment, call, drafted)
        except ChildGone as error:
            raise (error.fault or _build_unavailable(error)) from error

    def _call_once(self, moment: Moment, call: Call, drafted: Sequence[Mutation]) -> dict[str, Any]:
        try:
            return self._call(moment, call, drafted)
        except ChildGone as error:
            self._forget_child()
            self._check_open()
            _log.warning("replica.failed", study=self._spec.name, reason=str(error))
            raise
        except FileFailed:
            self._forget_child()
            raise

    def _call(self, moment: Moment, call: Call, drafted: Sequence[Mutation]) -> dict[str, Any]:
        self._check_open()
        if self._child is None:
            self._child = self._enter()
        self._room.touch(self)
        if moment is not self._moment:
            self._bring_to(self._child, moment)
        if new := drafted[self._n_told :]:
            self._child.tell(Drafted(new))
            self._n_told = len(drafted)
        return self._child.ask(call)

    def _enter(self) -> Process:
        self._room.enter(self)
        try:
            child = self._start()
        except BaseException:
            self._room.leave(self)
            raise
        if self._is_closed:
            child.kill()
        return child

    def _bring_to(self, child: Process, moment: Moment) -> None:
        missing = None
        if self._moment is not None:
            missing = self.feed.take(after=self._revision, until=moment.revision)
        # Half-way, the process is in no state that we know.
        self._moment = None
        if missing is None:
            self._load(child, moment.mirror)
        for part in _split(missing or ()):
            child.tell(Accepted(part))
        child.tell(Begin())
        self._moment, self._revision, self._n_told = moment, moment.revision, 0

    def _load(self, child: Process, mirror: Mirror) -> None:
        load = Load(self._study_id, self._spec, mirror.user_attrs, mirror.system_attrs)
        child.tell(load)
        trials = mirror.get_all_trials(self._study_id, deepcopy=False)
        for part in _split(trials):
            child.tell(Trials(part))

    def _forget_child(self) -> None:
        self._moment = None
        self.feed.close()
        if self._child is not None:
            self._child.bury()
            self._child = None
            self._room.leave(self)

    def _check_open(self) -> None:
        if self._is_closed:
            raise ProcessUnavailable(
                "The study is not served here any more, or read again. Repeat the request to see."
            )


def _split(found: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(found), _MOST_PER_MESSAGE):
        yield found[start : start + _MOST_PER_MESSAGE]


def _build_unavailable(error: ChildGone) -> ProcessUnavailable:
    if isinstance(error, TookTooLong):
        return ProcessUnavailable(
            f"The process that computes for this study was ended: {error}. Nothing was changed. "
            f"{error.advice}"
        )
    return ProcessUnavailable(
        f"The process that computes for this study failed twice: {error}. Nothing was changed. Try "
        "again; if it stays so, see the server's log."
    )
