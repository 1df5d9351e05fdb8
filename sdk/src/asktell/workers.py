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

One that knows how to make a sweep in an outside system, for people to see there, also

7. claims mirrors about every second, makes the sweeps that do not exist yet, and tells about every
   ten seconds what each of them is; it sets what the answer says and tells that at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx

from asktell._attempt_records import (
    Claimed,
    ClaimedAttempt,
    Ending,
    Instruction,
    describe_ending,
    read_claimed,
)
from asktell._connection import Connection
from asktell._json import encode_number
from asktell._mirror_records import WantedMirror, read_wanted_mirror
from asktell._records import read_optional_time
from asktell._requests import Request
from asktell._retries import Clock
from asktell._settings import find_token, find_url

__all__ = [
    "GONE_CODES",
    "Claimed",
    "ClaimedAttempt",
    "Ending",
    "Instruction",
    "WantedMirror",
    "WorkerClient",
]

LONGEST_WAIT_SECONDS = 60.0

GONE_CODES = frozenset(
    {
        "claim-lost",
        "attempt-superseded",
        "attempt-not-found",
        "trial-not-found",
        "study-not-found",
        "sweep-not-found",
    }
)
"""Codes of refusals after which an attempt or a mirror is not this worker's any more."""


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
        adopts: Iterable[str] = (),
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
            adopts: Executors with which it can go on with what workers have launched that are
                away now; their attempts count as new ones.
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
            "adopts": list(adopts),
            "wait_seconds": min(wait_seconds, LONGEST_WAIT_SECONDS),
        }
        request = Request("POST", "/attempts/claim", body=body, wait_seconds=wait_seconds)
        answer = self._call(request)
        return Claimed(
            attempts=[read_claimed(document) for document in answer["attempts"]],
            unreachable=frozenset(answer["unreachable"]),
        )

    def observe(
        self,
        attempt_id: str,
        *,
        claim: int,
        state: str,
        external_ref: str | None = None,
        url: str | None = None,
        note: str | None = None,
        points: Sequence[tuple[int, float]] = (),
        ending: Ending | None = None,
    ) -> Instruction:
        """Says what was seen of an attempt since the last time, and renews its lease.

        Args:
            attempt_id: As claimed.
            claim: As claimed.
            state: `launching`, `running` or `stopping`.
            external_ref: Its id in an outside system, once there is one.
            url: Its page there.
            note: What people should know of it; empty: nothing any more; None: as before.
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
        words = {"external_ref": external_ref, "url": url, "note": note}
        body |= {key: word for key, word in words.items() if word is not None}
        if ending is not None:
            body["ending"] = describe_ending(ending)
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

    def claim_mirrors(
        self, worker_id: str, *, queue: str, executors: Iterable[str]
    ) -> list[WantedMirror]:
        """Sweeps outside that this worker is to make or to keep, for a minute from now on.

        One that is in an earlier answer and not in this one is over, or another worker's.

        Args:
            worker_id: As registered.
            queue: The one whose sweeps it keeps.
            executors: Those of its ways to launch attempts that know an outside system.

        Raises:
            ApiError: The server refused.
            ApiConnectionError: No answer came.
        """
        body = {"worker_id": worker_id, "queue": queue, "executors": list(executors)}
        answer = self._call(Request("POST", "/mirrors/claim", body=body))
        return [read_wanted_mirror(document) for document in answer["mirrors"]]

    def tell_mirror(
        self,
        worker_id: str,
        study: str,
        *,
        external_ref: str | None = None,
        url: str | None = None,
        seen: str | None = None,
        is_deleted: bool = False,
        problem: str | None = None,
    ) -> str | None:
        """Says what is known of a sweep outside, and keeps it for another minute.

        Args:
            worker_id: As registered.
            study: The sweep's name.
            external_ref: Its name outside, once it exists.
            url: Where people find it.
            seen: What it is outside: `running`, `paused`, `finished` or `cancelled`.
            is_deleted: A person has deleted it; ours starts no new trials then.
            problem: Why it cannot be made or seen for now, for people; None: nothing is wrong.

        Returns:
            What it is to be set to outside; None: it may stay as it is.

        Raises:
            ApiError: The server refused; by one of `GONE_CODES` it is not this worker's any more.
            ApiConnectionError: No answer came.
        """
        body: dict[str, Any] = {
            "worker_id": worker_id,
            "seen": seen,
            "is_deleted": is_deleted,
            "problem": problem,
        }
        if external_ref is not None:
            body |= {"external_ref": external_ref, "url": url}
        path = f"/sweeps/{quote(study, safe='')}/mirror"
        answer: str | None = self._call(Request("POST", path, body=body))["set"]
        return answer

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
