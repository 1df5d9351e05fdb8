"""A sweep on the server: a study whose trials the server's workers launch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from asktell import _protocol
from asktell._sweep_records import (
    Attempt,
    AttemptLog,
    SweepSummary,
    read_attempt,
    read_log,
    read_sweep_summary,
)

if TYPE_CHECKING:
    from asktell._connection import Connection
    from asktell._study import Study

POLL_SECONDS = 2.0


class Sweep:
    """A sweep on the server, made by `Client.create_sweep` and `Client.get_sweep`.

    Threads may share this object; every look is a request.

    Attributes:
        name: That of its study, by which it is found.
        id: Eight letters and digits, unlike those of any other sweep.
        study: Its study: trials, best trial, budget, export. Whoever asks it for a trial runs
            that one oneself, beside the workers.
        launch: How its trials are launched.
        notes: What the server had to say about the sweep file, if this object created it.
    """

    def __init__(self, connection: Connection, study: Study, document: Mapping[str, Any]) -> None:
        self.name: str = document["name"]
        self.id: str = document["sweep"]["id"]
        self.study = study
        self.launch: Mapping[str, Any] = document["sweep"]["launch"]
        self.notes: tuple[str, ...] = tuple(document.get("notes", ()))
        self._connection = connection

    @property
    def state(self) -> str:
        """How far it has come, asked from the server; see `SweepSummary`."""
        return self.summary().state

    def summary(self) -> SweepSummary:
        """State, counts and best of this moment."""
        return read_sweep_summary(self._connection.call(_protocol.get_sweep(self.name)))

    def wait(
        self, timeout: float | None = None, *, poll_seconds: float = POLL_SECONDS
    ) -> SweepSummary:
        """Returns when the sweep is over; it survives a restart of the server.

        Raises:
            TimeoutError: It was not over after `timeout` seconds.
            NotFoundError: `sweep-not-found`: it was deleted.
        """
        clock = self._connection.clock
        started = clock.monotonic()
        while not (summary := self.summary()).is_over:
            if timeout is not None and clock.monotonic() + poll_seconds > started + timeout:
                raise TimeoutError(f"Sweep {self.name!r} is {summary.state} after {timeout:g} s.")
            clock.sleep(poll_seconds)
        return summary

    def pause(self) -> SweepSummary:
        """Lets no trial start until `resume`; those that run go on."""
        return self._change_state("pause")

    def resume(self) -> SweepSummary:
        """Lets trials start again after `pause` or `stop`.

        Raises:
            ConflictError: `study-finished`: its budget is spent; `study.configure` can raise it.
        """
        return self._change_state("resume")

    def stop(self) -> SweepSummary:
        """Lets no trial start any more; those that run go on and are the last ones."""
        return self._change_state("stop")

    def cancel(self) -> SweepSummary:
        """As `stop`, and has those that run ended; they count as failed."""
        return self._change_state("cancel")

    def attempts(
        self,
        states: Iterable[str] | None = None,
        *,
        trial: int | None = None,
        page_size: int = 100,
    ) -> Iterator[Attempt]:
        """Attempts, the newest first, fetched page by page while iterating.

        Args:
            states: Only those in these states.
            trial: Only those of this trial.
            page_size: Attempts per request.
        """
        build = partial(
            _protocol.list_attempts,
            self.name,
            states=list(states or ()),
            trial=trial,
            page_size=page_size,
        )
        return map(read_attempt, self._connection.list_pages("attempts", build))

    def get_attempt(self, attempt_id: str) -> Attempt:
        """The attempt of that id.

        Raises:
            NotFoundError: `attempt-not-found`.
        """
        return read_attempt(self._connection.call(_protocol.get_attempt(self.name, attempt_id)))

    def log(self, attempt_id: str, offset: int = 0) -> AttemptLog:
        """What an attempt has written from `offset` on, or the first part of that.

        There is more as long as `end` grows from one part to the next.

        Raises:
            NotFoundError: `attempt-not-found`.
        """
        request = _protocol.get_log(self.name, attempt_id, offset=offset)
        answer = self._connection.send(request)
        return read_log(answer.text, answer.response.headers)

    def __repr__(self) -> str:
        return f"Sweep({self.name!r})"

    def _change_state(self, action: str) -> SweepSummary:
        request = _protocol.change_sweep_state(self.name, action)
        return read_sweep_summary(self._connection.call(request))
