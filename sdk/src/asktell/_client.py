"""The way in: a client of one server, which creates and finds studies."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from functools import partial
from types import TracebackType
from typing import Any

import httpx

from asktell import _protocol
from asktell._connection import Connection
from asktell._exchange import delete_study
from asktell._heartbeats import Heartbeats
from asktell._protocol import LEFT_OUT, LeftOut
from asktell._records import StudySummary, read_summary
from asktell._retries import Clock
from asktell._settings import find_token, find_url
from asktell._study import Study
from asktell._sweep import Sweep
from asktell._sweep_records import SweepSummary, Worker, read_sweep_summary, read_worker


class Client:
    """A client of one Asktell server; closes its connections as a context manager.

    Threads may share a client and its studies. After a fork the child opens connections of its
    own, so studies go on working on both sides.

    Every call survives a restart of the server: what may pass by itself (no connection, no
    answer, 429, 502, 503, 504) is tried again until the deadline, without doing anything twice.
    Only `parallelism-reached` is not, because it passes when another trial ends.

    While trials of this client run, a daemon thread renews their leases.

    Args:
        url: Address of the server; else ASKTELL_URL, else of the one that runs on the data
            directory (ASKTELL_DATA_DIR, or this user's), else http://127.0.0.1:8700.
        token: Else ASKTELL_TOKEN, else what ASKTELL_TOKEN_FILE names, else the data directory's,
            which goes to the server that runs on it and to no other.
        timeout: Seconds that one try may take.
        deadline: Seconds after which a call is not tried again.
        max_retries: Tries of a call after its first; None for as many as the deadline allows.
        transport: Something else than httpx's own network transport. It is used as it is in
            forked children.
        clock: Source of time and jitter, for tests.

    Raises:
        ConfigurationError: There is no token, or the URL cannot be used.

    Example:
        >>> with asktell.Client() as client:
        ...     study = client.create_study("digits", direction="maximize", if_exists="load")
        ...     study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout: float = 60.0,
        deadline: float = 120.0,
        max_retries: int | None = None,
        transport: httpx.BaseTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.url = find_url(url, os.environ)
        self._connection = Connection(
            self.url,
            find_token(token, os.environ, url=self.url),
            timeout_seconds=timeout,
            deadline_seconds=deadline,
            max_retries=max_retries,
            transport=transport,
            clock=clock or Clock(),
        )
        self._heartbeats = Heartbeats(self._connection)

    def create_study(
        self,
        name: str,
        *,
        direction: str | Enum | None = None,
        directions: Iterable[str | Enum] | None = None,
        objectives: Mapping[str, str | Enum] | None = None,
        space: Mapping[str, Any] | None = None,
        python: str | Mapping[str, str] | None = None,
        sampler: str | Mapping[str, Any] | None = None,
        pruner: str | Mapping[str, Any] | None = None,
        seed: int | None = None,
        budget: Mapping[str, Any] | None = None,
        parallelism: int | None = None,
        lease_seconds: float | LeftOut | None = LEFT_OUT,
        retry: Mapping[str, Any] | None = None,
        user_attrs: Mapping[str, Any] | None = None,
        if_exists: str = "fail",
        load_if_exists: bool = False,
    ) -> Study:
        """Creates a study.

        Args:
            name: Anything but `/` and NUL, at most 512 characters.
            direction: `minimize` (the default) or `maximize`, or Optuna's StudyDirection.
            directions: Instead of it, one per objective.
            objectives: Instead of both, directions by the name of the objective.
            space: The search space by name, in the API's form or in Optuna's distributions;
                without one, trials declare parameters by `suggest_*`.
            python: Source text with `objective(trial)`, which declares the parameters of each
                trial on the server, or with `sampler()` or `pruner()`; or a mapping of `source`
                and of the names of functions by what they are for.
            sampler: Optuna's class name, or `{"type": name, "args": {…}}`; TPE by default.
            pruner: Likewise; none by default.
            seed: Base of every random draw, 0 ≤ seed < 2**32; the server draws one by default.
            budget: When it stops by itself, by any of `max_trials`, `max_seconds`,
                `max_failures` (in a row), `target` and `patience`.
            parallelism: Most trials that run at a time; no limit by default.
            lease_seconds: After how long without a word a trial counts as lost, where its ask
                did not say so; an hour by default, None for never. The trials of this package
                say so: see `Study.ask`.
            retry: When a trial is tried again: `{"max_attempts": 3, "on": ["lost",
                "preempted"], "mode": "restart"}` by default; `on` may have `failed` as well,
                and with the mode `resume` an attempt goes on with the reports before it.
            user_attrs: JSON values kept with the study.
            if_exists: `fail`, or `load` to get the study of that name if it was created alike.
            load_if_exists: Optuna's word for `if_exists="load"`.

        Raises:
            ConflictError: `study-exists`: there is one, with `load` one that differs.
            InvalidError: Something in the arguments is wrong; `errors` says what.
            ValueError: More than one of direction, directions and objectives.
            TypeError: A sampler or pruner is an object of Optuna's.
        """
        document = _protocol.describe_study(
            name,
            direction=direction,
            directions=directions,
            objectives=objectives,
            space=space,
            python=python,
            sampler=sampler,
            pruner=pruner,
            seed=seed,
            budget=budget,
            parallelism=parallelism,
            lease_seconds=lease_seconds,
            retry=retry,
            user_attrs=user_attrs,
        )
        request = _protocol.create_study(
            document, if_exists=if_exists, load_if_exists=load_if_exists
        )
        return self._open_study(self._connection.call(request))

    def get_study(self, name: str) -> Study:
        """The study of that name.

        Raises:
            NotFoundError: `study-not-found`.
        """
        return self._open_study(self._connection.call(_protocol.get_study(name)))

    def delete_study(self, name: str) -> None:
        """Deletes the study and all its trials, for good.

        Raises:
            NotFoundError: `study-not-found`.
        """
        self._connection.run(delete_study(self._connection.server, name))

    def list_studies(
        self, *, state: str | None = None, name_contains: str | None = None, page_size: int = 100
    ) -> Iterator[StudySummary]:
        """All studies by name, fetched page by page while iterating.

        Args:
            state: Only those that are `active`, `paused`, `stopping` or `finished`.
            name_contains: Only those with this in their name.
            page_size: Studies per request.
        """
        build = partial(
            _protocol.list_studies,
            state=state,
            name_contains=name_contains,
            page_size=page_size,
        )
        return map(read_summary, self._connection.list_pages("studies", build))

    def create_sweep(self, document: Mapping[str, Any]) -> Sweep:
        """Creates a sweep: a study whose trials workers launch.

        Args:
            document: The body of `POST /sweeps`: that of a study, and `launch`.

        Raises:
            ConflictError: `study-exists`.
            InvalidError: Something in it is wrong; `errors` says what.
        """
        return self._open_sweep(self._connection.call(_protocol.create_sweep(document)))

    def create_sweep_file(
        self,
        text: str,
        directory: str | None = None,
        name: str | None = None,
        *,
        executor: str | None = None,
        project: str | None = None,
        entity: str | None = None,
        mode: str | None = None,
    ) -> Sweep:
        """Creates a sweep from the text of a sweep file, W&B's or our own.

        Args:
            text: YAML or JSON.
            directory: Absolute path of the programs' working directory on the workers' machines,
                where the file names none.
            name: Name of the sweep, where the file names none; the server makes one up else.
            executor: How trials are launched, where the file does not say: `process` or `wandb`,
                as runs of W&B.
            project: Of those runs, where the file names none.
            entity: Whose they are, likewise.
            mode: `online` or `offline`, likewise.

        Raises:
            ConflictError: `study-exists`.
            InvalidError: `invalid-sweep-file`: `errors` has keys and lines.
        """
        request = _protocol.create_sweep_file(
            text,
            directory=directory,
            name=name,
            executor=executor,
            project=project,
            entity=entity,
            mode=mode,
        )
        return self._open_sweep(self._connection.call(request))

    def get_sweep(self, name: str) -> Sweep:
        """The sweep of that name.

        Raises:
            NotFoundError: `sweep-not-found`.
        """
        return self._open_sweep(self._connection.call(_protocol.get_sweep(name)))

    def list_sweeps(
        self, *, state: str | None = None, name_contains: str | None = None, page_size: int = 100
    ) -> Iterator[SweepSummary]:
        """All sweeps by name, fetched page by page while iterating.

        Args:
            state: Only those that are `active`, `paused`, `stopping`, `finished`, `failed` or
                `cancelled`.
            name_contains: Only those with this in their name.
            page_size: Sweeps per request.
        """
        build = partial(
            _protocol.list_sweeps, state=state, name_contains=name_contains, page_size=page_size
        )
        return map(read_sweep_summary, self._connection.list_pages("sweeps", build))

    def list_workers(self) -> list[Worker]:
        """The workers that the server knows, those that are away included."""
        return list(map(read_worker, self._connection.call(_protocol.list_workers())["workers"]))

    def close(self) -> None:
        """Closes the connections and ends the heartbeats; a later call starts anew."""
        self._heartbeats.close()
        self._connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    def _open_study(self, document: Mapping[str, Any]) -> Study:
        return Study(self._connection, self._heartbeats, document)

    def _open_sweep(self, document: Mapping[str, Any]) -> Sweep:
        return Sweep(self._connection, self._open_study(document), document)
