"""Plain Optuna reads while the service writes: in order, without gaps, nothing missed.

Optuna's cached storage skips trial ids at or below the last finished one that it saw, so a trial
whose id becomes visible too late is lost to a reader that lives on.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from service.domain.errors import StudyReloading
from service.domain.studies import Component, Direction, Objective
from service.domain.trials import Outcome, TrialState
from service.engine.ask import Ask, ask
from service.engine.create import NewStudy, create_study
from service.engine.engine import Engine, open_engine
from service.engine.report import report
from service.engine.suggest import suggest
from service.engine.tell import tell
from service.storage.database import Database
from tests.contracts.stored_rows import describe
from tests.plain_optuna import open_rdb_storage

_SPACE = {
    "lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": True},
    "kind": {"type": "categorical", "choices": ["a", "b"]},
}
_DECLARED, _BY_RUN = "declared", "defined by run"
_CLIENTS_PER_STUDY = 4
_CYCLES = 8


@pytest.fixture
def rdb(database: Database) -> Iterator[RDBStorage]:
    with open_rdb_storage(database) as storage:
        yield storage


@dataclass(slots=True)
class Reader:
    """A study that plain Optuna loaded once and looks at again and again."""

    study: optuna.Study
    told: set[int] = field(default_factory=set)
    seen: list[FrozenTrial] = field(default_factory=list)

    def look(self) -> None:
        told = set(self.told)
        trials = self.study.get_trials(deepcopy=False)
        assert [trial.number for trial in trials] == list(range(len(trials)))
        assert len(trials) >= len(self.seen)
        assert told <= {trial.number for trial in trials if trial.state.is_finished()}
        for before, now in zip(self.seen, trials, strict=False):
            assert before._trial_id == now._trial_id
            assert not before.state.is_finished() or describe(before) == describe(now)
        self.seen = trials


async def test_reader_sees_every_trial_of_a_busy_engine(
    database: Database, rdb: RDBStorage
) -> None:
    async with open_engine(database) as engine:
        await _create_studies(engine)
        readers = {
            name: Reader(optuna.load_study(study_name=name, storage=rdb)) for name in _names()
        }
        await _work_while_reading(engine, readers)
        for name in _names():
            actor = await engine.get_actor(name)
            actor.ownership.end(StudyReloading("The study is being read again."))
        await _work_while_reading(engine, readers)
    async with open_engine(database) as engine:
        await _work_while_reading(engine, readers)
        for reader in readers.values():
            await _check_reader_saw_all(engine, reader, rdb)


def _names() -> tuple[str, str]:
    return _DECLARED, _BY_RUN


async def _create_studies(engine: Engine) -> None:
    for name in _names():
        await create_study(
            engine,
            NewStudy(
                name,
                (Objective("loss", Direction.MINIMIZE),),
                space=_SPACE if name == _DECLARED else None,
                sampler=Component("RandomSampler"),
                pruner=Component("MedianPruner", {"n_startup_trials": 2}),
                seed=11,
            ),
        )


async def _work_while_reading(engine: Engine, readers: dict[str, Reader]) -> None:
    working = asyncio.gather(
        *(
            _work(engine, name, reader.told)
            for name, reader in readers.items()
            for _ in range(_CLIENTS_PER_STUDY)
        )
    )
    while not working.done():
        for reader in readers.values():
            await asyncio.to_thread(reader.look)
    await working


async def _work(engine: Engine, name: str, told: set[int]) -> None:
    for _ in range(_CYCLES):
        actor = await engine.get_actor(name)
        (trial,) = await ask(actor, Ask())
        params = trial.params if name == _DECLARED else await suggest(actor, trial.number, _SPACE)
        loss = params["lr"] * (1 if params["kind"] == "a" else 2)
        await report(actor, trial.number, [(0, loss + 1)])
        decision = await report(actor, trial.number, [(1, loss), (2, loss / 2)])
        await tell(actor, trial.number, _end(decision.should_prune, trial.number, loss))
        told.add(trial.number)


def _end(should_prune: bool, number: int, loss: float) -> Outcome:
    if should_prune:
        return Outcome(TrialState.PRUNED)
    if number % 5 == 4:
        return Outcome(TrialState.FAIL, reason="every fifth does")
    return Outcome(TrialState.COMPLETE, values=(loss,))


async def _check_reader_saw_all(engine: Engine, reader: Reader, rdb: RDBStorage) -> None:
    await asyncio.to_thread(reader.look)
    stored = await engine.reads.find_study(reader.study.study_name)
    assert stored is not None
    views = await engine.reads.list_trials(
        stored.summary.study_id, states=None, limit=1000, after=None
    )
    assert len(views) == 3 * _CLIENTS_PER_STUDY * _CYCLES == len(reader.told)
    assert [(view.number, view.state.name, dict(view.params)) for view in views] == [
        (trial.number, trial.state.name, trial.params) for trial in reader.seen
    ]
    fresh = await asyncio.to_thread(rdb.get_all_trials, stored.summary.study_id)
    assert [describe(trial) for trial in fresh] == [describe(trial) for trial in reader.seen]
    assert {trial.state for trial in fresh} == {
        OptunaState.COMPLETE,
        OptunaState.PRUNED,
        OptunaState.FAIL,
    }
