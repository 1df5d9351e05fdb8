"""Storages of Optuna as somebody left them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

BEGIN = datetime(2026, 1, 31, 12)
DISTRIBUTIONS: Mapping[str, BaseDistribution] = {
    "lr": FloatDistribution(1e-5, 0.1, log=True),
    "layers": IntDistribution(1, 8),
    "optimizer": CategoricalDistribution(["adam", "sgd", None]),
}
SPACE = {
    "lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": True},
    "layers": {"type": "int", "low": 1, "high": 8},
    "optimizer": {"type": "categorical", "choices": ["adam", "sgd", None]},
}


@contextmanager
def open_source(location: str) -> Iterator[BaseStorage]:
    """A storage by what `--from-optuna` takes."""
    if "://" not in location:
        yield JournalStorage(JournalFileBackend(location))
        return
    storage = RDBStorage(location.replace("postgresql://", "postgresql+psycopg://"))
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def locate(kind: str, folder: Path) -> str:
    return {
        "sqlite": f"sqlite:///{folder / 'source.db'}",
        "journal": str(folder / "journal.log"),
    }[kind]


def make_trial(number: int, **parts: Any) -> FrozenTrial:
    """A trial that began `number` minutes after the first, and is complete unless it says."""
    params = {
        "lr": 10.0 ** (-1 - number % 4),
        "layers": 1 + number % 8,
        "optimizer": ("adam", "sgd", None)[number % 3],
    }
    trial = create_trial(
        **{
            "values": [math.sin(number)],
            "params": params,
            "distributions": dict(DISTRIBUTIONS),
            **parts,
        }
    )
    trial.datetime_start = BEGIN + timedelta(minutes=number)
    trial.datetime_complete = trial.datetime_start + timedelta(seconds=90)
    return trial


def make_all_kinds() -> Sequence[FrozenTrial]:
    """A trial of each kind that has ended."""
    pruned, fail = TrialState.PRUNED, TrialState.FAIL
    return [
        make_trial(0, intermediate_values={0: 0.5, 3: math.nan, 7: -math.inf}),
        make_trial(1, values=[math.inf], user_attrs={"note": "diverged", "auc": math.nan}),
        make_trial(2, state=pruned, values=[0.75], intermediate_values={1: 0.25, 2: 0.75}),
        make_trial(3, state=pruned, values=None, intermediate_values={1: math.nan}),
        make_trial(4, state=fail, values=None, params={}, distributions={}),
        make_trial(5, constraints={"memory": -1.5, "time": 2.0}),
        make_trial(6, constraints={"memory": 0.5, "time": 0.0}),
    ]


def write_study(location: str, name: str, trials: Sequence[FrozenTrial], **options: Any) -> None:
    """Writes a study, with two trials behind that have not ended: one waits, one runs."""
    with open_source(location) as storage:
        study = optuna.create_study(storage=storage, study_name=name, **options)
        study.add_trials(trials)
        study.ask()
        study.enqueue_trial({"lr": 0.01})
