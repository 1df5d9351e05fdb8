"""Asking for trials, and waiting for one that others make room for or a paused study holds back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asktell import _protocol
from asktell._asked import LAST_WORDS_SECONDS, UNWANTED_REASON
from asktell._errors import ApiError, AsktellError, StudyPausedError, TooManyRequestsError
from asktell._exchange import Aside, Pause, is_away
from asktell._retries import LONGEST_RETRY_AFTER_SECONDS

if TYPE_CHECKING:
    from asktell._exchange import Exchange, Server
    from asktell._requests import Request

# So short that a trial that comes when nobody waits for it any more can be given back.
LONGEST_WAIT_SECONDS = 5.0

# After a refusal that names no time.
PAUSE_SECONDS = 1.0

_logger = logging.getLogger("asktell")


@dataclass(frozen=True, slots=True)
class Asked:
    """The trials that an ask brought.

    Attributes:
        sent_at: When it was sent, by the client's monotonic clock.
    """

    trials: Sequence[Mapping[str, Any]]
    sent_at: float


def ask(
    server: Server,
    study: str,
    *,
    wait_seconds: float,
    deadline_seconds: float | None = None,
    **wishes: Any,
) -> Exchange[Asked]:
    """Asks until it is not refused for lack of room or during a pause.

    Args:
        server: Whom to ask.
        study: Name of the study.
        wait_seconds: After how long the refusal is raised; 0 for the first one.
        deadline_seconds: Less patience than usual with a server that is away.
        wishes: The rest of what `_protocol.ask` takes.

    Raises:
        StudyPausedError: The study was paused all the time.
        TooManyRequestsError: As many trials ran as the study allows, all the time.
    """
    clock = server.clock
    ends_at = clock.monotonic() + wait_seconds
    while True:
        sent_at = clock.monotonic()
        seconds = min(max(0.0, ends_at - sent_at), LONGEST_WAIT_SECONDS)
        request = _protocol.ask(study, wait_seconds=seconds, **wishes)
        try:
            answer = yield from _call_or_give_back(server, study, request, deadline_seconds)
        except (StudyPausedError, TooManyRequestsError) as refusal:
            pause = pause_after(refusal)
            if clock.monotonic() + pause >= ends_at:
                raise
            yield Pause(pause)
        else:
            return Asked(answer["trials"], sent_at)


def _call_or_give_back(
    server: Server, study: str, request: Request, deadline_seconds: float | None
) -> Exchange[Any]:
    try:
        return (
            yield from server.call(
                request,
                deadline_seconds=deadline_seconds,
                # A server that takes its time is not away, however near the deadline is.
                least_try_seconds=server.timeout_seconds,
            )
        )
    except (KeyboardInterrupt, SystemExit, asyncio.CancelledError):
        yield Aside(_ask_and_give_back(server, study, request))
        raise


def _ask_and_give_back(server: Server, study: str, request: Request) -> Exchange[None]:
    """Gives back what an ask has brought or still will: the same request brings it once more."""
    try:
        answer = yield from server.call(request, deadline_seconds=LAST_WORDS_SECONDS)
    except AsktellError as error:
        # A refusal says that there is nothing to give back.
        level = logging.WARNING if is_away(error) else logging.DEBUG
        _logger.log(level, "An interrupted ask cannot be given back: %s", error)
    else:
        yield from _give_back(server, study, answer["trials"])


def _give_back(server: Server, study: str, trials: Sequence[Mapping[str, Any]]) -> Exchange[None]:
    """Lets somebody else have trials that nobody waits for any more."""
    for asked in trials:
        outcome = _protocol.describe_outcome(
            "FAIL", None, reason=UNWANTED_REASON, cause="preempted", attempt=asked["attempt"]
        )
        request = _protocol.tell(study, asked["number"], outcome)
        try:
            yield from server.call(request, deadline_seconds=LAST_WORDS_SECONDS)
        except AsktellError as error:
            _logger.warning("Trial %d could not be given back: %s", asked["number"], error)


def pause_after(refusal: ApiError) -> float:
    """Seconds until it makes sense to ask again."""
    return min(refusal.retry_after_seconds or PAUSE_SECONDS, LONGEST_RETRY_AFTER_SECONDS)
