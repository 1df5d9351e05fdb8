"""One training process as users write it without a service: Optuna on its own RDBStorage.

    python -m benchmarks.rdb_client STUDY SAMPLER START END        (URL in BENCH_DATABASE_URL)

Works from START, counts what begins after the first fifth and ends before END (Unix times), and
prints its timings as JSON.
"""

import json
import os
import sys
import time
import warnings

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from benchmarks.cycle import SAMPLERS, STEPS, Timings, objective, value_at, work_window

_DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "x": FloatDistribution(-5.0, 5.0),
    "y": FloatDistribution(0.0, 10.0),
    "lr": FloatDistribution(1e-5, 1e-1, log=True),
    "n": IntDistribution(1, 64),
    "optimizer": CategoricalDistribution(["adam", "sgd", "rmsprop"]),
}


def main(study_name: str, sampler: str, start: float, end: float) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    storage = optuna.storages.RDBStorage(os.environ["BENCH_DATABASE_URL"], skip_table_creation=True)
    study = optuna.load_study(
        study_name=study_name,
        storage=storage,
        sampler=getattr(optuna.samplers, SAMPLERS[sampler])(),
        pruner=optuna.pruners.MedianPruner(),
    )
    total = work_window(lambda: _run_cycle(study), start, end)
    json.dump(total.to_json(), sys.stdout)


def _run_cycle(study: optuna.Study) -> Timings:
    timings = Timings(cycles=1)
    began = time.perf_counter()
    trial = study.ask(_DISTRIBUTIONS)
    timings.ask.append(time.perf_counter() - began)
    for step in range(STEPS):
        began = time.perf_counter()
        trial.report(value_at(trial.params, step), step)
        trial.should_prune()
        timings.report.append(time.perf_counter() - began)
    began = time.perf_counter()
    study.tell(trial, objective(trial.params))
    timings.tell.append(time.perf_counter() - began)
    return timings


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))
