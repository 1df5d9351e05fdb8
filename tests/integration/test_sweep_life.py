"""Sweeps under whatever workers, programs, people and time do: what is stored always fits."""

import random
from collections import Counter
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from service.domain.attempts import AttemptState, Ending, EndingKind
from service.domain.errors import AsktellError
from service.domain.studies import AttemptEnd, Budget, Component, RetryPolicy, StudyState
from service.domain.trials import AttemptPhase, Outcome, TrialState
from service.engine import states
from service.engine.claim import ClaimedAttempt
from service.engine.report import report
from service.engine.tell import tell
from service.storage.database import Database
from tests.integration.sweep_use import ADA, BOB, new_sweep, see, take_any
from tests.integration.timed_study import LEASE_SECONDS, TimedStudy, open_timed_study

_STEPS = 60
_MAX_TRIALS, _PARALLELISM = 8, 3
_PRUNED_ABOVE = 7.0
_RETRIES = (
    RetryPolicy(),
    RetryPolicy(max_attempts=1),
    RetryPolicy(on=frozenset(AttemptEnd), max_attempts=2),
)
_SELECT_ATTEMPTS = """
SELECT a.number, a.attempt, a.state, a.ended_at, t.attempt AS latest, t.phase
FROM asktell.attempts AS a JOIN asktell.trials AS t USING (study_id, number)
"""
_SELECT_STUDY = "SELECT * FROM asktell.studies"


class SweepLife:
    """One sweep and two workers; what a worker holds may long have been given to the other."""

    def __init__(self, study: TimedStudy, chance: random.Random, taken: Counter[str]) -> None:
        self.study = study
        self.chance = chance
        self.taken = taken
        self.held: list[ClaimedAttempt] = []

    async def step(self) -> None:
        act = self.chance.choice(
            [self.claim] * 3
            + [self.look] * 4
            + [self.end] * 3
            + [self.speak, self.finish, self.wait, self.forget, self.command, self.restart]
        )
        try:
            await act()
        except _NothingHeld:
            self.taken["nothing held"] += 1
        except AsktellError as error:
            self.taken[error.code] += 1
        else:
            self.taken[act.__name__] += 1

    async def claim(self) -> None:
        worker = self.chance.choice([ADA, BOB])
        held = frozenset(
            each.attempt_id for each in self.held if each.launch.worker_id == worker.worker_id
        )
        self.held += await take_any(self.study, self.chance.randint(0, 3), worker, held=held)

    async def look(self) -> None:
        state = self.chance.choice([AttemptState.RUNNING, AttemptState.STOPPING])
        points = ((self.chance.randint(0, 5), float(self.chance.randint(0, 8))),)
        told = await see(self.study, self.pick(), state, points=points)
        if told.stop is not None:
            self.taken[f"told {told.stop}"] += 1

    async def end(self) -> None:
        attempt = self.pick()
        kind = self.chance.choice([EndingKind.EXITED] * 4 + list(EndingKind))
        code = self.chance.choice([0, 0, 1])
        values = self.chance.choice([None, {"value": 1.0}, {"value": float("nan")}])
        ending = Ending(kind, code, values=values)
        told = await see(self.study, attempt, ending=ending)
        assert told.is_over
        self.held.remove(attempt)

    async def speak(self) -> None:
        launch = self.pick().launch
        await report(self.study.actor, launch.number, [(6, 1.0)], attempt=launch.attempt)

    async def finish(self) -> None:
        launch = self.pick().launch
        outcome = Outcome(TrialState.COMPLETE, (2.0,), attempt=launch.attempt)
        await tell(self.study.actor, launch.number, outcome)

    async def wait(self) -> None:
        await self.study.let_pass(self.chance.choice([10.0, LEASE_SECONDS + 1]))

    async def forget(self) -> None:
        """A worker dies, and comes back with nothing in its hands."""
        worker = self.chance.choice([ADA, BOB])
        self.held = [each for each in self.held if each.launch.worker_id != worker.worker_id]

    async def command(self) -> None:
        command = self.chance.choice(
            [states.pause, states.stop, states.cancel] + [states.resume] * 6
        )
        await command(self.study.actor)

    async def restart(self) -> None:
        await self.study.restart()

    async def finish_everything(self) -> None:
        """Whatever came before: once the sweep is cancelled, it ends by itself."""
        await states.cancel(self.study.actor)
        for _ in range(4):
            await self.study.lose()
        summary = await self.study.summary()
        assert summary.state is StudyState.FINISHED
        assert summary.counts.running == 0
        assert not [each for each in self.fetch(_SELECT_ATTEMPTS) if each["ended_at"] is None]

    def pick(self) -> ClaimedAttempt:
        if not self.held:
            raise _NothingHeld
        return self.chance.choice(self.held)

    def check(self) -> None:
        attempts = self.fetch(_SELECT_ATTEMPTS)
        (stored,) = self.fetch(_SELECT_STUDY)
        for each in attempts:
            is_over = AttemptState(each["state"]).is_over
            assert is_over == (each["ended_at"] is not None), each
            assert is_over or each["attempt"] == each["latest"], each
            assert is_over or each["phase"] != AttemptPhase.ENDED, each
        live = self.study.actor.attempts.count_live
        assert live <= _PARALLELISM
        assert stored["started"] <= _MAX_TRIALS
        assert stored["wanted"] == self.study.actor.wanted
        assert stored["wanted"] in range(_PARALLELISM - live + 1)
        assert (stored["waiting_since"] is None) == (stored["wanted"] == 0)

    def fetch(self, query: str) -> list[dict[str, Any]]:
        with psycopg.connect(self.study.database.conninfo, row_factory=dict_row) as connection:
            return connection.execute(query).fetchall()


class _NothingHeld(Exception):
    """No worker has anything to speak for."""


async def _live(database: Database, number: int, taken: Counter[str]) -> None:
    chance = random.Random(number)
    async with open_timed_study(database) as study:
        await study.create(
            new_sweep(pruner=Component("ThresholdPruner", {"upper": _PRUNED_ABOVE})),
            budget=Budget(max_trials=_MAX_TRIALS),
            parallelism=_PARALLELISM,
            retry=chance.choice(_RETRIES),
        )
        life = SweepLife(study, chance, taken)
        for _ in range(_STEPS):
            await life.step()
            life.check()
        await life.finish_everything()


@pytest.mark.parametrize("block", range(4))
async def test_what_is_stored_fits(database: Database, block: int) -> None:
    taken: Counter[str] = Counter()
    await _live(database, block, taken)
    # A life whose steps are all refused would fit anything.
    assert taken["claim"] >= 5
    assert taken["look"] + taken["end"] >= 5, taken
