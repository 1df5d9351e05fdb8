"""The worker's side of the service: take attempts of sweeps, follow them, say how they ended.

`asktell worker` is written on this; so is any other worker that launches attempts in a way of its
own. A worker

1. registers, and again every few seconds;
2. claims attempts, at first with a count of 0 to get back what an earlier life of it had;
3. launches each one, with the attempt's token in ASKTELL_TOKEN so that its program may report;
4. observes each one about once a second, which renews its lease, and does what the answer says:
   ends the program if `stop` says so, forgets it once an `ending` was answered;
5. ends the program of an attempt at once when one of `GONE_CODES` refuses an observation;
6. claims every few seconds, with a count of 0 if need be, while an answer names attempts as
   unreachable, and ends the programs of those that it neither gets back nor finds named again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx

from asktell._connection import Connection, Request
from asktell._json import encode_number
from asktell._records import read_optional_time
from asktell._retries import Clock
from asktell._settings import find_token, find_url

__all__ = ["GONE_CODES", "Claimed", "ClaimedAttempt", "Ending", "Instruction", "WorkerClient"]

LONGEST_WAIT_SECONDS = 60.0

GONE_CODES = frozenset(
    {
        "claim-lost",
        "attempt-not-found",
        "trial-not-found",
        "study-not-found",
        "sweep-not-found",
    }
)
"""Codes of refusals after which an attempt is not this worker's any more."""


@dataclass(frozen=True, slots=True)
class ClaimedAttempt:
    """An attempt that a worker was given.

    Attributes:
        attempt_id: Its name, unlike that of any other attempt anywhere.
        trial: Number of its trial.
        attempt: Which execution of the trial it is, from 1.
        claim: The right by which the worker speaks for it; a later one ends this one.
        state: `launching`, or `running` or `stopping` if an earlier life of the worker has seen
            it at work: it must not be launched a second time.
        external_ref: Its id in an outside system, if one was told.
        params: As the program gets them, nested.
        metrics: Names of the values to look for, one per objective.
        executor: What is to launch it.
        arguments: What that executor wants to know.
        token: Opens its own trial for the program, and nothing else; None if there is none.
    """

    attempt_id: str
    study: str
    trial: int
    attempt: int
    claim: int
    state: str
    external_ref: str | None
    params: Mapping[str, Any]
    metrics: tuple[str, ...]
    executor: str
    arguments: Mapping[str, Any]
    lease_expires_at: datetime | None
    token: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Claimed:
    """The answer to a claim.

    Attributes:
        unreachable: Ids of attempts that the worker has and does not hold, and that it cannot be
            given just now: their programs are to be left alone and keep their slots. What a later
            answer neither names nor gives back is not this worker's any more.
    """

    attempts: Sequence[ClaimedAttempt]
    unreachable: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Ending:
    """How the execution of an attempt ended.

    Attributes:
        kind: `exited`, `timed_out`, `preempted` (the worker had to go), `not_started` (it can
            never start) or `vanished` (nothing tells how it ended).
        exit_code: None if a signal ended it, or it never started.
        signal: Number of the signal that ended it.
        message: What there is to say beyond that, for people.
        values: The last value of each metric that was seen, by name.
    """

    kind: str
    exit_code: int | None = None
    signal: int | None = None
    message: str | None = None
    values: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Instruction:
    """What to do with an attempt.

    Attributes:
        stop: `pruned` or `cancelled`: end it; `over`: its trial has ended, let it finish what it
            is at, for a moment; None: let it run.
        is_over: Nothing more needs to be said of it.
        lease_expires_at: It counts as lost without another observation until then.
    """

    stop: str | None
    is_over: bool
    lease_expires_at: datetime | None


class WorkerClient:
    """A worker's connection to one server; closes it as a context manager. Threads may share it.

    Every call is one try, and may be repeated: none does anything twice. Unlike `Client` this
    does not try again by itself, because a worker has something newer to say by then.

    Args:
        url: Address of the server; else ASKTELL_URL, else as `Client` finds it.
        token: Else ASKTELL_TOKEN, else as `Client` finds it. Its scope has to be `worker` or more.
        timeout: Seconds that a call may take, beyond what it asks the server to wait.
        transport: Something else than httpx's own network transport.

    Raises:
        ConfigurationError: There is no token, or the URL cannot be used.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout: float = 10.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = find_url(url, os.environ)
        self._timeout_seconds = timeout
        self._connection = Connection(
            self.url,
            find_token(token, os.environ, url=self.url),
            timeout_seconds=timeout,
            deadline_seconds=timeout,
            max_retries=0,
            transport=transport,
            clock=Clock(),
        )

    def register(
        self,
        worker_id: str,
        *,
        name: str,
        host: str,
        queue: str,
        executors: Iterable[str],
        slots: int,
        busy: int,
        version: str,
        is_draining: bool = False,
    ) -> None:
        """Says that the worker is there; it counts as away after 30 s without a word.

        Args:
            worker_id: Random, and the same each time that this worker starts.
            name: For people.
            host: The machine.
            queue: The one whose attempts it takes.
            executors: Its ways to launch attempts.
            slots: How many attempts it handles at a time.
            busy: How many it handles now.
            version: Of the worker's program.
            is_draining: It takes no more attempts.

        Raises:
            ApiError: The server refused.
            ApiConnectionError: No answer came.
        """
        body = {
            "name": name,
            "host": host,
            "queue": queue,
            "slots": slots,
            "busy": busy,
            "executors": list(executors),
            "state": "draining" if is_draining else "active",
            "version": version,
        }
        self._call(Request("PUT", _worker_path(worker_id), body=body))

    def leave(self, worker_id: str) -> None:
        """Says that the worker is about to end, and has no attempts any more.

        Raises:
            ApiError: The server refused.
            ApiConnectionError: No answer came.
        """
        self._call(Request("DELETE", _worker_path(worker_id)))

    def claim(
        self,
        worker_id: str,
        *,
        name: str,
        host: str,
        queue: str,
        executors: Iterable[str],
        count: int,
        held: Iterable[str] = (),
        wait_seconds: float = 0.0,
    ) -> Claimed:
        """Attempts for this worker: what it has but does not hold, and up to `count` new ones.

        What it has but does not hold comes from an answer that was lost, or an earlier life of
        the worker; it comes whatever the count. The server takes it off the count, and what is
        unreachable as well.

        Args:
            worker_id: As registered, and so are name, host, queue and executors.
            name: For people.
            host: The machine.
            queue: The one whose attempts it takes.
            executors: Its ways to launch attempts.
            count: For how many new ones there is room.
            held: Ids of the attempts that this process handles.
            wait_seconds: How long to wait for the first one, at most 60.

        Raises:
            ApiError: The server refused.
            ApiConnectionError: No answer came; what was granted comes with the next call.
        """
        body = {
            "worker_id": worker_id,
            "worker_name": name,
            "host": host,
            "queue": queue,
            "executors": list(executors),
            "count": count,
            "held": sorted(held),
            "wait_seconds": min(wait_seconds, LONGEST_WAIT_SECONDS),
        }
        request = Request("POST", "/attempts/claim", body=body, wait_seconds=wait_seconds)
        answer = self._call(request)
        return Claimed(
            attempts=[_read_claimed(document) for document in answer["attempts"]],
            unreachable=frozenset(answer["unreachable"]),
        )

    def observe(
        self,
        attempt_id: str,
        *,
        claim: int,
        state: str,
        external_ref: str | None = None,
        points: Sequence[tuple[int, float]] = (),
        ending: Ending | None = None,
    ) -> Instruction:
        """Says what was seen of an attempt since the last time, and renews its lease.

        Args:
            attempt_id: As claimed.
            claim: As claimed.
            state: `launching`, `running` or `stopping`.
            external_ref: Its id in an outside system, once there is one.
            points: (step, value) of the only objective; a step that is known already is ignored.
            ending: Once it has ended.

        Raises:
            ApiError: The server refused; by one of `GONE_CODES` for good.
            ApiConnectionError: No answer came.
        """
        body: dict[str, Any] = {
            "claim": claim,
            "state": state,
            "points": [{"step": step, "value": encode_number(value)} for step, value in points],
        }
        if external_ref is not None:
            body["external_ref"] = external_ref
        if ending is not None:
            body["ending"] = _describe_ending(ending)
        answer = self._call(Request("POST", f"{_attempt_path(attempt_id)}/observe", body=body))
        return Instruction(
            stop=answer["stop"],
            is_over=answer["is_over"],
            lease_expires_at=read_optional_time(answer["lease_expires_at"]),
        )

    def send_log(self, attempt_id: str, *, claim: int, offset: int, data: bytes) -> None:
        """Sends a part of what the program printed; what is no UTF-8 is replaced.

        Args:
            attempt_id: As claimed.
            claim: As claimed.
            offset: Position of its first byte in all that was printed.
            data: The bytes; cut them between characters.

        Raises:
            ApiError: The server refused.
            ApiConnectionError: No answer came.
        """
        body = {
            "claim": claim,
            "offset": offset,
            "text": data.decode("utf-8", errors="replace"),
            "bytes": len(data),
        }
        self._call(Request("POST", f"{_attempt_path(attempt_id)}/log", body=body))

    def close(self) -> None:
        """Closes the connections; a later call opens new ones."""
        self._connection.close()

    def __enter__(self) -> WorkerClient:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"WorkerClient({self.url!r})"

    def _call(self, request: Request) -> Any:
        timeout_seconds = self._timeout_seconds + request.wait_seconds
        return self._connection.call_once(request, timeout_seconds=timeout_seconds)


def _worker_path(worker_id: str) -> str:
    return f"/workers/{quote(worker_id, safe='')}"


def _attempt_path(attempt_id: str) -> str:
    return f"/attempts/{quote(attempt_id, safe='')}"


def _read_claimed(document: Mapping[str, Any]) -> ClaimedAttempt:
    arguments = dict(document["launch"])
    return ClaimedAttempt(
        attempt_id=document["id"],
        study=document["study"],
        trial=document["trial"],
        attempt=document["attempt"],
        claim=document["claim"],
        state=document["state"],
        external_ref=document["external_ref"],
        params=document["params"],
        metrics=tuple(document["metrics"]),
        executor=arguments.pop("executor"),
        arguments=arguments,
        lease_expires_at=read_optional_time(document["lease_expires_at"]),
        token=document["token"],
    )


def _describe_ending(ending: Ending) -> dict[str, Any]:
    values = ending.values
    return {
        "kind": ending.kind,
        "exit_code": ending.exit_code,
        "signal": ending.signal,
        "message": ending.message,
        "values": values and {name: encode_number(value) for name, value in values.items()},
    }
