"""One training process as users write it with the service: the real SDK.

    python -m benchmarks.sdk_client URL STUDY START END        (token in ASKTELL_TOKEN)

Works from START, counts what begins after the first fifth and ends before END (Unix times), and
prints its timings as JSON.
"""

import json
import sys
import time

import asktell

from benchmarks.cycle import STEPS, Timings, objective, value_at, work_window


def main(url: str, study_name: str, start: float, end: float) -> None:
    with asktell.Client(url) as client:
        study = client.get_study(study_name)
        total = work_window(lambda: _run_cycle(study), start, end)
    json.dump(total.to_json(), sys.stdout)


def _run_cycle(study: asktell.Study) -> Timings:
    timings = Timings(cycles=1)
    began = time.perf_counter()
    trial = study.ask()
    timings.ask.append(time.perf_counter() - began)
    params = dict(trial.params)
    for step in range(STEPS):
        began = time.perf_counter()
        trial.report(value_at(params, step), step)
        trial.should_prune()
        timings.report.append(time.perf_counter() - began)
    began = time.perf_counter()
    study.tell(trial, objective(params))
    timings.tell.append(time.perf_counter() - began)
    return timings


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))
