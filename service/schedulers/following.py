"""One attempt in a worker's hands, in a straight line from its claim until it is forgotten."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import structlog
from asktell.workers import ClaimedAttempt, Instruction
from asktell.workers import Ending as ToldEnding

from service.domain.attempts import AttemptState, Ending, EndingKind, StopCause
from service.schedulers.clearing import end_at_once, insist
from service.schedulers.executors.base import (
    ErrorKind,
    Executor,
    LaunchRefused,
    MetricRow,
    Sighting,
    StillRunning,
    StopKind,
    Watch,
)
from service.schedulers.launches import Launches, build_launch
from service.schedulers.log_parts import cut_between_characters
from service.schedulers.lookout import Lookout
from service.schedulers.pace import Backoff, Pace
from service.schedulers.server_calls import ServerCalls
from service.schedulers.speaking import AttemptGone, Speaker
from service.schedulers.workdir import Workdir

# With what the server takes for one observation, or one part of a log.
_MOST_ROWS = 1000
_MOST_LOG_BYTES = 64 * 1024
_LONGEST_MESSAGE = 2000
_LONGEST_NOTE = 1000

_PREEMPTED = "preempted"
_ENDS_OF_WORK = (EndingKind.EXITED, EndingKind.TIMED_OUT, EndingKind.PREEMPTED)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the followers of one worker share.

    Attributes:
        must_go: Set once the worker has to go, and its attempts with it.
    """

    calls: ServerCalls
    workdir: Workdir
    pace: Pace
    must_go: asyncio.Event
    launches: Launches


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
        self._stop_at: float | None = None
        self._stop_reason: str | None = None
        self._is_unwanted = asyncio.Event()
        self._is_stopped = False
        self._stop_backoff = Backoff(around.pace)
        self._may_stop_from = 0.0
        self._ended_at: float | None = None
        self._trouble: str | None = None
        if around.workdir.was_preempted(claimed.attempt_id):
            self._set_stop(_PREEMPTED, self._clock())

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
                await self._end_at_once()
            await self._forget()
            raise
        await self._forget()

    async def _get_launched(self) -> Ending | None:
        """None once it is launched, else why it never will be."""
        if self._was_launched:
            return None
        launching = asyncio.create_task(self._launch_patiently())
        try:
            while not launching.done():
                await asyncio.wait([launching], timeout=self._pace.look_seconds)
                if not launching.done():
                    await self._hear_while_launching()
        finally:
            # Not cancelled: no other call may concern the attempt while its launch goes on.
            self._is_unwanted.set()
            await asyncio.wait([launching])
        return launching.result()

    async def _launch_patiently(self) -> Ending | None:
        if self._around.must_go.is_set():
            self._leave_to_others()
            # An earlier life of the worker may have launched it without having told.
            self._preempt()
            return await self._take_back()
        backoff = Backoff(self._pace)
        until = self._clock() + self._pace.launch_seconds
        while not self._is_unwanted.is_set():
            try:
                self._external_ref = await self._executor.launch(self._launch)
            except LaunchRefused as refusal:
                return Ending(EndingKind.NOT_STARTED, message=str(refusal))
            except Exception as error:
                if self._executor.classify(error) is ErrorKind.PERMANENT:
                    return Ending(EndingKind.NOT_STARTED, message=str(error))
                if self._clock() >= until:
                    return await self._give_up(error)
                pause = backoff.next_pause()
                self._trouble = f"Not launched yet: {error}"[:_LONGEST_NOTE]
                self._note("attempt.not_launched", reason=str(error), again_in_seconds=pause)
            else:
                self._note("attempt.launched", external_ref=self._external_ref)
                self._around.launches.note_launched()
                return None
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_unwanted.wait(), pause)
        self._leave_to_others()
        return await self._take_back()

    async def _give_up(self, error: Exception) -> Ending:
        """Lets another worker try what cannot be launched here."""
        tried = f"It could not be launched for {self._pace.launch_seconds:g} s: {error}"
        self._around.launches.note_given_up(str(error))
        # What keeps a launch from succeeding may keep all this from succeeding too.
        with suppress(OSError):
            self._preempt()
        try:
            ending = await end_at_once(
                self._executor,
                self._lookout,
                self._launch,
                self._pace,
                patience_seconds=self._pace.leave_seconds,
            )
        except Exception as failure:
            self._note("attempt.not_stopped", reason=str(failure))
            ending = None
        return replace(_blame_worker(ending), message=tried)

    async def _hear_while_launching(self) -> None:
        """Renews the lease of an attempt that takes long to launch."""
        if self._around.must_go.is_set():
            if not self.is_shared:
                self._preempt()
            self._is_unwanted.set()
        elif self._speaker.is_due(is_urgent=False):
            self._obey(await self._speaker.observe(state=self._state, note=self._trouble))
        if self._stop_at is not None:
            self._is_unwanted.set()

    async def _take_back(self) -> Ending:
        """For a launch that failed, but perhaps not completely, and is not wanted any more."""
        ending = await self._end_at_once()
        if self._stop_reason == _PREEMPTED:
            return _blame_worker(ending)
        return ending or Ending(EndingKind.NOT_STARTED, message="Stopped before it was launched.")

    async def _end_at_once(self) -> Ending | None:
        """Kills what runs, however long that takes; but what others can kill keeps nobody here."""
        if not self.is_shared:
            return await self._insist_on_end()
        ending = asyncio.create_task(self._insist_on_end())
        leaving = asyncio.create_task(self._around.must_go.wait())
        try:
            await asyncio.wait([ending, leaving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            ending.cancel()
        if ending.done():
            return ending.result()
        raise LeftToOthers

    async def _insist_on_end(self) -> Ending | None:
        while True:
            try:
                return await end_at_once(self._executor, self._lookout, self._launch, self._pace)
            except StillRunning:
                # An outside system may take its time.
                if not self.is_shared:
                    raise

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
        now = self._clock()
        has_to_go = self._around.must_go.is_set() and not self.is_shared
        if has_to_go and not self._is_to_stop(now):
            self._preempt()
        if self._is_to_stop(now) and now >= self._may_stop_from:
            await self._stop()

    def _preempt(self) -> None:
        # Noted first: whoever finds the end of it has to know whose doing that was.
        self._around.workdir.note_preempted(self._launch.attempt_id)
        self._set_stop(_PREEMPTED, self._clock())

    async def _stop(self) -> None:
        try:
            await self._executor.stop(self._launch, StopKind.GRACEFUL)
        except Exception as error:
            if self._executor.classify(error) is ErrorKind.TRANSIENT:
                # Not insisted on here: meanwhile the lease has to be renewed.
                self._may_stop_from = self._clock() + self._stop_backoff.next_pause()
                return
            self._note("attempt.not_stopped", reason=str(error))
        self._is_stopped = True
        self._state = AttemptState.STOPPING
        self._note("attempt.stopping", reason=self._stop_reason)

    def _is_to_stop(self, now: float) -> bool:
        return self._stop_at is not None and now >= self._stop_at

    def _set_stop(self, reason: str, at: float) -> None:
        if self._stop_at is None or at < self._stop_at:
            self._stop_at, self._stop_reason = at, reason

    async def _speak(self, seen: Sighting | None) -> bool:
        """Says what was seen; True once the server knows all of it, the end included."""
        rows = () if seen is None else seen.rows[:_MOST_ROWS]
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
        self._obey(instruction)
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
        if self._around.workdir.was_preempted(self._launch.attempt_id):
            ending = _blame_worker(ending)
        return _to_told(ending)

    def _obey(self, instruction: Instruction | None) -> None:
        if instruction is None or instruction.stop is None:
            return
        is_over = instruction.stop == StopCause.OVER
        # What still runs may save its work, as if nobody watched it.
        moment = self._pace.moment_seconds if is_over else 0.0
        self._set_stop(instruction.stop, self._clock() + moment)

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
            self._leave_to_others()
        if self._ended_at is None or not self._around.must_go.is_set():
            return
        if self._clock() > self._ended_at + self._pace.leave_seconds:
            raise ServerAway(f"Nobody could be told how {self._launch.attempt_id} ended.")

    def _leave_to_others(self) -> None:
        if self.is_shared and self._around.must_go.is_set():
            raise LeftToOthers

    async def _forget(self) -> None:
        await insist(self._executor, lambda: self._executor.forget(self._launch), self._pace)
        self._around.workdir.forget(self._launch.attempt_id)

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


class LeftToOthers(Exception):
    """The worker leaves, and another one goes on with the attempt."""


class ServerAway(Exception):
    """The worker leaves without having told an end; its next start tells it."""


def _was_at_work(seen: Sighting) -> bool:
    return seen.is_running or (seen.ending is not None and seen.ending.kind in _ENDS_OF_WORK)


def _blame_worker(ending: Ending | None) -> Ending:
    """The same end, seen as what it is: the worker had to go."""
    if ending is None:
        return Ending(EndingKind.PREEMPTED)
    is_ours = ending.kind in (EndingKind.EXITED, EndingKind.NOT_STARTED)
    return replace(ending, kind=EndingKind.PREEMPTED) if is_ours else ending


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
