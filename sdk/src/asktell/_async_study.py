"""A study for asynchronous programs; what each method means is said at `Study`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, overload

from asktell import _protocol
from asktell._async_trial import AsyncTrial
from asktell._described import DescribedStudy
from asktell._imports import add_trials
from asktell._json import to_plain
from asktell._leases import DEFAULT_LEASE_SECONDS, open_lease
from asktell._protocol import LEFT_OUT, LeftOut
from asktell._records import FrozenTrial, StudySummary, read_summary, read_trial
from asktell._telling import tell, tell_many
from asktell._waiting import ask

if TYPE_CHECKING:
    from asktell._async_connection import AsyncConnection
    from asktell._async_heartbeats import AsyncHeartbeats


class AsyncStudy(DescribedStudy):
    """A study on the server, made by `AsyncClient.create_study` and `AsyncClient.get_study`.

    `Study` for asynchronous programs: the tasks of one event loop may share it. What asks the
    server is a coroutine, so `Study`'s properties are methods here, but those that never change.

    Attributes:
        name: Its name.
        objectives: What is optimised, in the order of the values told.
        space: The declared search space, or None.
        sampler: `{"type": …, "args": …}` with every argument that the server resolved.
        pruner: Likewise, or None.
        seed: Base of every random draw.
    """

    def __init__(
        self,
        connection: AsyncConnection,
        heartbeats: AsyncHeartbeats,
        document: Mapping[str, Any],
    ) -> None:
        super().__init__(document)
        self._connection = connection
        self._heartbeats = heartbeats

    @overload
    async def ask(
        self,
        count: None = None,
        *,
        params: Mapping[str, Any] | None = None,
        distributions: Mapping[str, Any] | None = None,
        lease_seconds: float | None = DEFAULT_LEASE_SECONDS,
        wait_seconds: float = 0.0,
    ) -> AsyncTrial: ...

    @overload
    async def ask(
        self,
        count: int,
        *,
        params: Mapping[str, Any] | None = None,
        distributions: Mapping[str, Any] | None = None,
        lease_seconds: float | None = DEFAULT_LEASE_SECONDS,
        wait_seconds: float = 0.0,
    ) -> list[AsyncTrial]: ...

    async def ask(
        self,
        count: int | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        distributions: Mapping[str, Any] | None = None,
        lease_seconds: float | None = DEFAULT_LEASE_SECONDS,
        wait_seconds: float = 0.0,
    ) -> AsyncTrial | list[AsyncTrial]:
        """Starts a trial, or `count` of them as a list; see `Study.ask`.

        If this is cancelled, trials that the server hands out nevertheless are given back as soon
        as it has answered, at the latest when the client is closed.
        """
        exchange = ask(
            self._connection.server,
            self.name,
            count=1 if count is None else count,
            params=params,
            distributions=distributions,
            lease_seconds=lease_seconds,
            wait_seconds=wait_seconds,
        )
        asked = await self._connection.run(exchange)
        trials = [
            self._start_trial(document, lease_seconds, asked.sent_at) for document in asked.trials
        ]
        return trials[0] if count is None else trials

    async def tell(
        self,
        trial: AsyncTrial | int,
        values: float | Sequence[float] | None = None,
        state: str | Enum | None = None,
        *,
        reason: str | None = None,
        cause: str | None = None,
        constraints: Mapping[str, float] | Sequence[float] | None = None,
    ) -> FrozenTrial:
        """Ends a trial. Telling the same again changes nothing; see `Study.tell`."""
        details = {"reason": reason, "cause": cause, "constraints": constraints}
        return await self._connection.run(
            tell(self._heartbeats, self.name, trial, values, state, **details)
        )

    async def tell_many(self, tells: Iterable[tuple[Any, ...]]) -> list[FrozenTrial]:
        """Ends up to 1000 trials in one request, all or none; see `Study.tell_many`."""
        return await self._connection.run(tell_many(self._heartbeats, self.name, tells))

    async def enqueue_trial(
        self, params: Mapping[str, Any], user_attrs: Mapping[str, Any] | None = None
    ) -> int:
        """Lets a later ask hand out these parameters; returns the number of that trial."""
        document = {"params": to_plain(params), "user_attrs": to_plain(user_attrs or {})}
        answer = await self._connection.call(_protocol.enqueue(self.name, [document]))
        return int(answer["numbers"][0])

    async def add_trial(self, trial: Any, *, distributions: Mapping[str, Any] | None = None) -> int:
        """Adds a trial that finished elsewhere, and returns its number here."""
        return (await self.add_trials([trial], distributions=distributions))[0]

    async def add_trials(
        self,
        trials: Iterable[Any],
        *,
        distributions: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> list[int]:
        """Adds trials that finished elsewhere, returns their numbers; see `Study.add_trials`."""
        return await self._connection.run(
            add_trials(
                self._connection.server,
                self,
                trials,
                distributions=distributions,
                idempotency_key=idempotency_key,
            )
        )

    async def trials(self) -> list[FrozenTrial]:
        """All trials by number; see `get_trials`."""
        return await self.get_trials()

    async def get_trials(
        self, states: Iterable[str | Enum] | None = None, *, page_size: int = 500
    ) -> list[FrozenTrial]:
        """All trials by number, or those in these states; fetched `page_size` per request."""
        build = partial(
            _protocol.list_trials,
            self.name,
            states=_protocol.state_words(states),
            page_size=page_size,
        )
        pages = self._connection.list_pages("trials", build)
        return [read_trial(document) async for document in pages]

    async def get_trial(self, number: int) -> FrozenTrial:
        """The trial of that number.

        Raises:
            NotFoundError: `trial-not-found`.
        """
        return read_trial(await self._connection.call(_protocol.get_trial(self.name, number)))

    async def best_trial(self) -> FrozenTrial:
        """The best completed trial.

        Raises:
            NotFoundError: `no-best-trial`: none is complete, or there are several objectives.
        """
        return read_trial(await self._connection.call(_protocol.get_best_trial(self.name)))

    async def best_params(self) -> dict[str, Any]:
        """Parameters of the best trial."""
        return (await self.best_trial()).params

    async def best_value(self) -> float:
        """Value of the best trial."""
        values = (await self.best_trial()).values
        assert values is not None, "a completed trial has values"
        return values[0]

    async def best_trials(self) -> list[FrozenTrial]:
        """The feasible trials that no other one beats in every objective, by number."""
        answer = await self._connection.call(_protocol.list_best_trials(self.name))
        return list(map(read_trial, answer["trials"]))

    async def export(self, format: str = "csv") -> str:
        """All trials as text: `csv` with the columns of Optuna's dataframe, or `json`."""
        return (await self._connection.send(_protocol.export(self.name, format))).text

    async def summary(self) -> StudySummary:
        """State, counts and best of this moment."""
        return read_summary(await self._connection.call(_protocol.get_study(self.name)))

    async def user_attrs(self) -> dict[str, Any]:
        """What it was created with and `set_user_attr` was given."""
        return dict((await self._connection.call(_protocol.get_study(self.name)))["user_attrs"])

    async def set_user_attr(self, key: str, value: Any) -> None:
        """Keeps a JSON value with the study; see `Study.set_user_attr`."""
        document = {"user_attrs": to_plain({key: value})}
        await self._connection.call(_protocol.patch_study(self.name, document))

    async def pause(self) -> None:
        """Lets nobody start a trial until `resume`; those that run go on."""
        await self._change_state("pause")

    async def resume(self) -> None:
        """Lets trials be started again after `pause` or `finish`; see `Study.resume`."""
        await self._change_state("resume")

    async def finish(self) -> None:
        """Lets nobody start a trial any more; those that run go on and are the last ones."""
        await self._change_state("stop")

    async def configure(
        self,
        *,
        budget: Mapping[str, Any] | LeftOut = LEFT_OUT,
        parallelism: int | LeftOut | None = LEFT_OUT,
        lease_seconds: float | LeftOut | None = LEFT_OUT,
        retry: Mapping[str, Any] | LeftOut = LEFT_OUT,
    ) -> None:
        """Changes settings of the study; see `Study.configure`."""
        document = _protocol.describe_settings(
            {
                "budget": budget,
                "parallelism": parallelism,
                "lease_seconds": lease_seconds,
                "retry": retry,
            }
        )
        await self._connection.call(_protocol.patch_study(self.name, document))

    def _start_trial(
        self, asked: Mapping[str, Any], lease_seconds: float | None, sent_at: float
    ) -> AsyncTrial:
        lease = open_lease(
            self._heartbeats, self.name, asked, seconds=lease_seconds, sent_at=sent_at
        )
        return AsyncTrial(self, self._connection, asked, lease)

    async def _change_state(self, action: str) -> None:
        await self._connection.call(_protocol.change_state(self.name, action))
