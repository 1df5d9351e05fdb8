"""How an answer is got from a server, without IO: tries, pauses, and what an outcome means.

An exchange is a generator: it yields what is to be done next, is sent what came of it, and returns
its result. `Connection` does what it says with threads, `AsyncConnection` with asyncio. Longer
ones are made of shorter ones by `yield from`, so nothing that decides is written twice.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Generator
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, TypeVar

import httpx

from asktell import _protocol
from asktell._errors import (
    ApiConnectionError,
    AsktellError,
    NotFoundError,
    TooManyRequestsError,
    UnavailableError,
)
from asktell._problems import read_problem
from asktell._requests import Answer, Request, build_headers, build_query, encode_body
from asktell._retries import (
    CALLERS_CODE,
    NEVER_SENT,
    RETRIED_STATUSES,
    Clock,
    Patience,
    read_retry_after,
)
from asktell._settings import is_loopback

CONNECT_SECONDS = 5.0
SHORTEST_TRY_SECONDS = 1.0

# Shorter than servers keep idle connections, so that a request rarely meets one being closed.
KEEP_ALIVE_SECONDS = 30.0

# A blip is nobody's business; whoever waits longer wants to know for what.
QUIET_RETRIES = 3

# Enough for a connection that was closed under our feet, and over within a moment.
BRIEF_RETRIES = QUIET_RETRIES - 1
BRIEF_SECONDS = 1.0

# A server that is slow is not away.
BRIEF_TRY_SECONDS = 10.0

_logger = logging.getLogger("asktell")


@dataclass(frozen=True, slots=True)
class Try:
    """Send this once; an `Outcome` is wanted back.

    Attributes:
        seconds: How long the answer may take.
    """

    request: Request
    seconds: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing for so long; None is wanted back."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Aside:
    """Do this as well, for nobody who waits for its end; None is wanted back.

    It raises nothing of its own accord.
    """

    exchange: Exchange[None]


# No answer that can be read; the others of httpx's errors are about redirects and URLs.
FAILURES = (httpx.TransportError, httpx.DecodingError)

Outcome = httpx.Response | httpx.TransportError | httpx.DecodingError

_Result = TypeVar("_Result")
Step = Try | Pause | Aside
Exchange = Generator[Step, Any, _Result]


@dataclass(frozen=True, slots=True)
class Server:
    """A server as one client deals with it.

    Attributes:
        timeout_seconds: How long one try may take.
        deadline_seconds: How long a request is tried again.
        max_retries: Tries after the first; None for as many as fit into the deadline.
    """

    url: str
    token: str = field(repr=False)
    timeout_seconds: float
    deadline_seconds: float
    max_retries: int | None
    clock: Clock

    def call(
        self,
        request: Request,
        *,
        deadline_seconds: float | None = None,
        least_try_seconds: float = SHORTEST_TRY_SECONDS,
    ) -> Exchange[Any]:
        """The decoded body of a successful answer.

        Args:
            request: What to ask for.
            deadline_seconds: Less patience than usual, for a caller who is on the way out.
            least_try_seconds: How long a try may take though the deadline is nearer.

        Raises:
            ApiError: The server refused.
            ApiConnectionError: No answer came.
        """
        patience = self._start_patience(request, deadline_seconds)
        answer = yield from self._repeat(request, patience, least_try_seconds)
        return answer.document

    def send(self, request: Request) -> Exchange[Answer]:
        """The final answer, be it a refusal; what may pass by itself is tried again.

        Raises:
            ApiConnectionError: No answer came.
        """
        patience = self._start_patience(request, None)
        return (yield from self._repeat(request, patience, SHORTEST_TRY_SECONDS))

    def call_briefly(self, request: Request) -> Exchange[Any]:
        """As `call`, for whoever has better things to do than to wait for an absent server.

        Raises:
            ApiError: The server refused.
            ApiConnectionError: No answer came.
        """
        retries = BRIEF_RETRIES if self.max_retries is None else self.max_retries
        patience = Patience(
            self.clock, max_retries=min(BRIEF_RETRIES, retries), deadline_seconds=BRIEF_SECONDS
        )
        answer = yield from self._repeat(request, patience, BRIEF_TRY_SECONDS)
        return answer.document

    def call_once(self, request: Request, *, timeout_seconds: float) -> Exchange[Any]:
        """As `call`, but without patience and without a word, for whoever tries again anyway.

        Raises:
            ApiError: The server refused.
            ApiConnectionError: No answer came.
        """
        outcome = yield self._limit(request, max(SHORTEST_TRY_SECONDS, timeout_seconds))
        return Answer(self._conclude(outcome), is_after_doubt=False).document

    def describe_pool(self) -> dict[str, Any]:
        """The arguments of either of httpx's clients."""
        return {
            "headers": {
                "Authorization": f"Bearer {self.token}",
                "User-Agent": f"asktell-python/{version('asktell')}",
            },
            "limits": httpx.Limits(keepalive_expiry=KEEP_ALIVE_SECONDS),
            # A proxy for the internet has nothing to do with this machine.
            "trust_env": not is_loopback(self.url),
        }

    def describe_try(self, step: Try) -> dict[str, Any]:
        """The arguments of the `request` method of either of httpx's clients."""
        request = step.request
        return {
            "method": request.method,
            "url": self.url + request.path,
            "params": build_query(request),
            "content": encode_body(request),
            "headers": build_headers(request),
            "timeout": httpx.Timeout(step.seconds, connect=min(CONNECT_SECONDS, step.seconds)),
        }

    def _repeat(
        self, request: Request, patience: Patience, least_try_seconds: float
    ) -> Exchange[Answer]:
        is_after_doubt = False
        while True:
            seconds = max(least_try_seconds, patience.remaining_seconds)
            outcome = yield self._limit(request, seconds)
            pause = None
            if _may_pass(outcome):
                pause = patience.next_pause(self._wished_pause(outcome))
            if pause is None:
                return Answer(self._conclude(outcome), is_after_doubt)
            if patience.retries == QUIET_RETRIES:
                self._announce(outcome, patience.remaining_seconds)
            is_after_doubt = is_after_doubt or _is_doubtful(outcome)
            yield Pause(pause)

    def _start_patience(self, request: Request, deadline_seconds: float | None) -> Patience:
        deadline = self.deadline_seconds
        if deadline_seconds is not None:
            deadline = min(deadline, deadline_seconds)
        return Patience(
            self.clock,
            max_retries=self.max_retries,
            deadline_seconds=deadline + request.wait_seconds,
        )

    def _limit(self, request: Request, at_most_seconds: float) -> Try:
        return Try(request, min(self.timeout_seconds + request.wait_seconds, at_most_seconds))

    def _wished_pause(self, outcome: Outcome) -> float:
        if isinstance(outcome, httpx.Response):
            return read_retry_after(outcome, self.clock.now())
        return 0.0

    def _conclude(self, outcome: Outcome) -> httpx.Response:
        if isinstance(outcome, httpx.Response):
            return outcome
        raise ApiConnectionError(
            f"No answer from {self.url} ({_describe(outcome)}). Is the server running, and is "
            "ASKTELL_URL right?"
        ) from outcome

    def _announce(self, outcome: Outcome, remaining_seconds: float) -> None:
        _logger.warning(
            "%s does not serve requests (%s); trying for up to %.0f s more.",
            self.url,
            _describe(outcome),
            remaining_seconds,
        )


def delete_study(server: Server, name: str) -> Exchange[None]:
    """Deletes a study, which is gone afterwards in any case.

    Raises:
        NotFoundError: It was gone before.
    """
    answer = yield from server.send(_protocol.delete_study(name))
    try:
        _ = answer.document
    except NotFoundError:
        # The try whose answer got lost is what deleted it.
        if not answer.is_after_doubt:
            raise


def is_away(error: AsktellError) -> bool:
    """Whether the server could not say yes or no, as opposed to a refusal."""
    if isinstance(error, TooManyRequestsError):
        return error.code != CALLERS_CODE
    return isinstance(error, (ApiConnectionError, UnavailableError))


def _may_pass(outcome: Outcome) -> bool:
    if isinstance(outcome, httpx.Response):
        is_retried = outcome.status_code in RETRIED_STATUSES
        return is_retried and read_problem(outcome).code != CALLERS_CODE
    is_hopeless = isinstance(outcome, (httpx.UnsupportedProtocol, httpx.LocalProtocolError))
    return not is_hopeless and not _is_mistrusted(outcome)


def _is_mistrusted(error: BaseException | None) -> bool:
    """Whether it comes from a certificate that this machine does not trust."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None


def _is_doubtful(outcome: Outcome) -> bool:
    if isinstance(outcome, httpx.Response):
        return outcome.status_code != 429
    return not isinstance(outcome, NEVER_SENT)


def _describe(outcome: Outcome) -> str:
    if isinstance(outcome, httpx.Response):
        return str(read_problem(outcome))
    return f"{type(outcome).__name__}: {outcome}"
