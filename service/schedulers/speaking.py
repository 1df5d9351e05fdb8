"""What a worker tells its server about one attempt, and when."""

import asyncio
from collections.abc import Sequence

import structlog
from asktell import ApiError, AsktellError, InvalidError
from asktell.workers import ClaimedAttempt, Ending, Instruction

from service.schedulers.pace import Backoff, Pace
from service.schedulers.server_calls import ServerCalls, choose_pause, is_gone, may_pass

_log = structlog.get_logger(__name__)


class AttemptGone(Exception):
    """The attempt is not this worker's any more; the message is the server's.

    Attributes:
        is_passed_on: Another worker has it, and goes on with what was launched if it can.
    """

    def __init__(self, message: str, *, is_passed_on: bool) -> None:
        super().__init__(message)
        self.is_passed_on = is_passed_on


class Speaker:
    """Speaks for one attempt: about once a second, and less often while that fails.

    Attributes:
        claimed: The attempt, by its latest claim.
    """

    def __init__(self, claimed: ClaimedAttempt, calls: ServerCalls, pace: Pace) -> None:
        self.claimed = claimed
        self._calls = calls
        self._pace = pace
        self._backoff = Backoff(pace)
        self._log_backoff = Backoff(pace)
        self._clock = asyncio.get_running_loop().time
        self._due_at = self._clock() + pace.observe_seconds
        self._may_from = 0.0
        self._may_send_log_from = 0.0

    def is_due(self, *, is_urgent: bool) -> bool:
        """Whether to speak now; what is urgent waits for nothing but pauses after failures."""
        now = self._clock()
        is_ready = is_urgent and now >= self._may_send_log_from
        return now >= self._may_from and (is_ready or now >= self._due_at)

    async def observe(
        self,
        *,
        state: str,
        external_ref: str | None = None,
        url: str | None = None,
        note: str | None = None,
        points: Sequence[tuple[int, float]] = (),
        ending: Ending | None = None,
    ) -> Instruction | None:
        """Says what was seen; None if that has to be said again later.

        Raises:
            AttemptGone: It is not this worker's any more.
        """
        try:
            instruction = await self._calls.observe(
                self.claimed,
                state=state,
                external_ref=external_ref,
                url=url,
                note=note,
                points=list(points),
                ending=ending,
            )
        except InvalidError as error:
            if not points:
                self._put_off(error)
                return None
            _log.warning("points.refused", **self._names, reason=str(error))
            return await self.observe(
                state=state, external_ref=external_ref, url=url, note=note, ending=ending
            )
        except AsktellError as error:
            self._put_off(error)
            return None
        self._backoff.reset()
        self._due_at = self._clock() + self._pace.observe_seconds
        return instruction

    async def send_log(self, offset: int, data: bytes) -> bool:
        """Sends a part of the log; False if it has to be sent again later.

        What the server can never take is left out.

        Raises:
            AttemptGone: It is not this worker's any more.
        """
        if self._clock() < self._may_send_log_from:
            return False
        try:
            await self._calls.send_log(self.claimed, offset=offset, data=data)
        except AsktellError as error:
            _raise_if_gone(error)
            if may_pass(error):
                pause = choose_pause(error, self._log_backoff, self._pace)
                self._may_send_log_from = self._clock() + pause
                return False
            _log.warning("log.refused", **self._names, offset=offset, reason=str(error))
        self._log_backoff.reset()
        return True

    def _put_off(self, error: AsktellError) -> None:
        _raise_if_gone(error)
        pause = choose_pause(error, self._backoff, self._pace)
        if not may_pass(error):
            _log.error("observation.refused", **self._names, reason=str(error))
        self._may_from = self._clock() + pause

    @property
    def _names(self) -> dict[str, str]:
        return {"attempt_id": self.claimed.attempt_id, "study": self.claimed.study}


def _raise_if_gone(error: AsktellError) -> None:
    if is_gone(error):
        is_passed_on = isinstance(error, ApiError) and error.code == "claim-lost"
        raise AttemptGone(str(error), is_passed_on=is_passed_on) from error
