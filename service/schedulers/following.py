"""One attempt in a worker's hands, in a straight line from its claim until it is forgotten."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import structlog
from asktell.workers import ClaimedAttempt
from asktell.workers import Ending as ToldEnding

from service.domain.attempts import AttemptState, Ending, EndingKind
from service.schedulers.clearing import end_or_leave, finish_or_leave, insist
from service.schedulers.executors.base import (
    MOST_ROWS,
    ErrorKind,
    Executor,
    MetricRow,
    Sighting,
    StopKind,
    Watch,
)
from service.schedulers.launches import build_launch
from service.schedulers.launching import Launching
from service.schedulers.log_parts import cut_between_characters
from service.schedulers.lookout import Lookout
from service.schedulers.pace import Backoff
from service.schedulers.speaking import AttemptGone, Speaker
from service.schedulers.stop_orders import StopOrder, blame_worker
from service.schedulers.surroundings import Surroundings

# With what the server takes for one part of a log.
_MOST_LOG_BYTES = 64 * 1024
_LONGEST_MESSAGE = 2000

_ENDS_OF_WORK = (
    EndingKind.EXITED,
    EndingKind.FAILED,
    EndingKind.TIMED_OUT,
    EndingKind.PREEMPTED,
)

_log = structlog.get_logger(__name__)


class Follower:
    """Launches an attempt, follows it, ends it when told to, and says how it ended.

    Args:
        was_launched: An earlier life of this worker, or of this follower, has seen to that: it
            must not be done a second time.
    """

    def __init__(
        self,
        claimed: ClaimedAttempt,
        executor: Executor,
        lookout: Lookout,
        around: Surroundings,
        *,
        was_launched: bool,
    ) -> None:
        self._executor = executor
        self._lookout = lookout
        self._around = around
        self._pace = around.pace
        self._clock = asyncio.get_running_loop().time
        self._speaker = Speaker(claimed, around.calls, around.pace)
        self._launch = build_launch(claimed, around.calls.url)
        self._was_launched = was_launched
        self._state = AttemptState(claimed.state)
        self._external_ref = claimed.external_ref
        self._watch = Watch(self._launch)
        self._looking: asyncio.Future[Sighting] | None = None
        self._stop = StopOrder(claimed.attempt_id, around.workdir, around.pace, clock=self._clock)
        self._is_stopped = False
        self._stop_backoff = Backoff(around.pace)
        self._may_stop_from = 0.0
        self._ended_at: float | None = None
        self._is_over = False

    @property
    def is_over(self) -> bool:
        """Whether nothing is left of the attempt but to forget it."""
        return self._is_over

    @property
    def is_shared(self) -> bool:
        """Whether another worker can go on with the attempt."""
        return self._executor.is_shared

    def renew(self, claimed: ClaimedAttempt) -> None:
        """Goes on by a newer claim on the same attempt."""
        self._speaker.claimed = claimed

    async def follow(self) -> None:
        """Returns when nothing is left to do for the attempt here, in this life of the worker.

        Raises:
            AttemptGone: It is not this worker's any more; what ran of it is gone, unless another
                worker goes on with it.
            StillRunning: What was to be killed does not go.
            ServerAway: The worker has to go, and nobody can be told how the attempt ended.
            LeftToOthers: The worker has to go, and others can go on with the attempt.
        """
        try:
            ending = await self._get_launched()
            if ending is None:
                await self._observe_until_ended()
            else:
                await self._tell_end(ending)
        except AttemptGone as gone:
            self._stop_looking()
            if not (gone.is_passed_on and self.is_shared):
                await end_or_leave(
                    self._executor,
                    self._lookout,
                    self._launch,
                    self._around,
                    patience_seconds=self._pace.leave_seconds,
                )
            await self._forget()
            raise
        await self._forget()

    async def _get_launched(self) -> Ending | None:
        """None once it is launched, else why it never will be."""
        if self._was_launched:
            return None
        launching = Launching(
            self._launch,
            self._executor,
            lookout=self._lookout,
            around=self._around,
            speaker=self._speaker,
            stop=self._stop,
        )
        launched = await launching.run()
        if isinstance(launched, Ending):
            return launched
        self._external_ref = launched
        return None

    async def _observe_until_ended(self) -> None:
        while True:
            seen = await self._look()
            if seen is not None:
                self._take_in(seen)
            if self._looking is None:
                await self._stop_if_due(seen)
            has_ended = seen is not None and seen.ending is not None
            if self._speaker.is_due(is_urgent=has_ended) and await self._speak(seen):
                return
            self._leave_if_time()

    async def _look(self) -> Sighting | None:
        """None if nobody could look for a while: the server wants to hear something anyway."""
        if self._looking is None:
            self._looking = self._lookout.look(self._watch)
        done, _ = await asyncio.wait([self._looking], timeout=self._pace.observe_seconds)
        if not done:
            return None
        seen, self._looking = self._looking.result(), None
        return seen

    def _stop_looking(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def _take_in(self, seen: Sighting) -> None:
        if self._state is AttemptState.LAUNCHING and _was_at_work(seen):
            self._state = AttemptState.RUNNING
        if seen.ending is not None and self._ended_at is None:
            self._ended_at = self._clock()
            self._note_end(seen.ending)

    async def _stop_if_due(self, seen: Sighting | None) -> None:
        if self._is_stopped or (seen is not None and seen.ending is not None):
            return
        has_to_go = self._around.must_go.is_set() and not self.is_shared
        if has_to_go and not self._stop.is_due:
            self._stop.preempt()
        if self._stop.is_due and self._clock() >= self._may_stop_from:
            await self._have_stopped()

    async def _have_stopped(self) -> None:
        try:
            stopped = replace(self._launch, stop_reason=self._stop.reason)
            await self._executor.stop(stopped, StopKind.GRACEFUL)
        except Exception as error:
            if self._executor.classify(error) is ErrorKind.TRANSIENT:
                # Not insisted on here: meanwhile the lease has to be renewed.
                self._may_stop_from = self._clock() + self._stop_backoff.next_pause()
                return
            self._note("attempt.not_stopped", reason=str(error))
        self._is_stopped = True
        self._state = AttemptState.STOPPING
        self._note("attempt.stopping", reason=self._stop.reason)

    async def _speak(self, seen: Sighting | None) -> bool:
        """Says what was seen; True once the server knows all of it, the end included."""
        rows = () if seen is None else seen.rows[:MOST_ROWS]
        is_last = seen is not None and await self._send_log(seen) and len(rows) == len(seen.rows)
        ending = seen.ending if seen is not None and is_last else None
        instruction = await self._speaker.observe(
            state=self._state,
            external_ref=self._external_ref,
            url=self._find_url(),
            note=None if seen is None else seen.note or "",
            points=self._find_points(rows),
            ending=self._describe(ending),
        )
        if instruction is None:
            return False
        self._watch = replace(self._watch, cursor=self._watch.cursor + len(rows))
        self._stop.obey(instruction)
        return ending is not None

    async def _send_log(self, seen: Sighting) -> bool:
        """Sends the new part of the log; True if nothing is left of what there was to see."""
        has_more = len(seen.log) >= _MOST_LOG_BYTES
        is_final = seen.ending is not None and not has_more
        data = seen.log[:_MOST_LOG_BYTES]
        data = data if is_final else cut_between_characters(data)
        if data:
            if not await self._speaker.send_log(seen.log_offset, data):
                return False
            offset = seen.log_offset + len(data)
            self._watch = replace(self._watch, log_offset=offset)
        return not has_more

    def _find_url(self) -> str | None:
        return None if self._external_ref is None else self._executor.url(self._external_ref)

    def _find_points(self, rows: Sequence[MetricRow]) -> list[tuple[int, float]]:
        """What may be pruned by: the only objective's values, or nothing if there are several."""
        if len(self._launch.metrics) != 1:
            return []
        (name,) = self._launch.metrics
        return [(row.step, row.values[name]) for row in rows if name in row.values]

    def _describe(self, ending: Ending | None) -> ToldEnding | None:
        if ending is None:
            return None
        if self._stop.was_preempted:
            ending = blame_worker(ending)
        return _to_told(ending)

    async def _tell_end(self, ending: Ending) -> None:
        """Says how an attempt ended of which there is nothing to see."""
        self._ended_at = self._clock()
        self._note_end(ending)
        told = _to_told(ending)
        while True:
            if self._speaker.is_due(is_urgent=True) and await self._speaker.observe(
                state=self._state,
                external_ref=self._external_ref,
                url=self._find_url(),
                ending=told,
            ):
                return
            self._leave_if_time()
            await asyncio.sleep(self._pace.look_seconds)

    def _leave_if_time(self) -> None:
        if self._ended_at is None:
            self._around.leave_if_others_can_follow(self._executor)
        if self._ended_at is None or not self._around.must_go.is_set():
            return
        if self._clock() > self._ended_at + self._pace.leave_seconds:
            raise ServerAway(f"Nobody could be told how {self._launch.attempt_id} ended.")

    async def _forget(self) -> None:
        self._is_over = True
        attempt_id = self._launch.attempt_id
        forgetting = insist(self._executor, lambda: self._executor.forget(self._launch), self._pace)
        if await finish_or_leave(forgetting, self._around):
            self._around.workdir.forget(attempt_id)
        else:
            # Nor is forgotten here what the next start has to know of it.
            _log.warning("attempt.not_forgotten", attempt_id=attempt_id)

    def _note_end(self, ending: Ending) -> None:
        self._note(
            "attempt.ended",
            kind=str(ending.kind),
            exit_code=ending.exit_code,
            signal=ending.signal,
            reason=ending.message,
        )

    def _note(self, event: str, **fields: object) -> None:
        claimed = self._speaker.claimed
        _log.info(event, attempt_id=claimed.attempt_id, study=claimed.study, **fields)


class ServerAway(Exception):
    """The worker leaves without having told an end; its next start tells it."""


def _was_at_work(seen: Sighting) -> bool:
    return seen.is_running or (seen.ending is not None and seen.ending.kind in _ENDS_OF_WORK)


def _to_told(ending: Ending) -> ToldEnding:
    # A program's last words may be anything; a NUL can be stored nowhere.
    message = None if ending.message is None else ending.message.replace("\0", "\ufffd")
    return ToldEnding(
        kind=str(ending.kind),
        exit_code=ending.exit_code,
        signal=ending.signal,
        message=None if message is None else message[:_LONGEST_MESSAGE],
        values=ending.values,
    )
