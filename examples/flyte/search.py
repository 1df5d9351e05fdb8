"""A search as an eager task of Flyte, written for flytekitplugins-optuna but for its import.

On a cluster each trial is an execution of `train`; `python search.py` runs it on this machine.
"""

import asyncio

import flytekit as fl
import optuna
from asktell.flyte import Optimizer, suggest
from tasks import train


@fl.eager
async def search(concurrency: int, n_trials: int, epochs: int) -> float:
    study = optuna.create_study(direction="maximize")
    optimizer = Optimizer(train, concurrency, n_trials, study)
    await optimizer(
        hidden_units=suggest.integer(16, 128, log=True),
        optimizer={
            "learning_rate": suggest.float(1e-3, 1.0, log=True),
            "momentum": suggest.float(0.5, 0.95),
        },
        epochs=epochs,
    )
    print(study.best_params)
    return study.best_value


if __name__ == "__main__":
    print(asyncio.run(search(concurrency=2, n_trials=8, epochs=5)))
