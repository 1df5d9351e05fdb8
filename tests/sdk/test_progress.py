"""`optimize` as Optuna's: positional arguments, the progress bar, garbage collection."""

import gc
import inspect
import subprocess
import sys
from typing import Any

import asktell
import optuna
import pytest

from tests.sdk.clocks import FakeTime
from tests.sdk.servers import ServerProcess


def parabola(trial: Any) -> float:
    return float(trial.suggest_float("x", -1, 1) ** 2)


def test_it_takes_what_optunas_takes_in_the_same_places() -> None:
    ours = inspect.signature(asktell.Study.optimize).parameters
    optunas = inspect.signature(optuna.Study.optimize).parameters
    assert list(ours) == list(optunas)
    for name, parameter in optunas.items():
        assert (ours[name].default, ours[name].kind) == (parameter.default, parameter.kind)


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_the_bar_counts_trials_and_names_the_best(
    study: asktell.Study, capsys: pytest.CaptureFixture[str], n_jobs: int
) -> None:
    study.optimize(parabola, n_trials=6, n_jobs=n_jobs, show_progress_bar=True)

    last = capsys.readouterr().err.split("\r")[-1]
    best = study.best_trial
    assert last.startswith(f"Best trial: {best.number}. Best value: {best.value:.6g}: 100%")
    assert "6/6" in last
    assert f"6 finished in '{study.name}'" in last


def test_the_bar_counts_seconds_where_no_number_of_trials_is_given(
    server: ServerProcess, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    time = FakeTime()

    def objective(trial: asktell.Trial) -> float:
        time.sleep(4.0)
        return parabola(trial)

    with server.open_client(clock=time.clock) as client:
        client.create_study(name).optimize(objective, timeout=10.0, show_progress_bar=True)

    lines = capsys.readouterr().err.split("\r")
    shown = [line.partition("%")[0].split()[-1] for line in lines if "Best trial" in line]
    assert shown[-1] == "100"
    assert "/00:10" in lines[-1]


def test_the_bar_says_how_many_trials_ended_where_there_is_no_single_best(
    client: asktell.Client, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    study = client.create_study(name, directions=["minimize", "minimize"])
    study.optimize(lambda _: (1.0, 2.0), n_trials=2, show_progress_bar=True)
    assert "2 finished" in capsys.readouterr().err


def test_the_bar_is_closed_when_an_objective_fails(
    study: asktell.Study, capsys: pytest.CaptureFixture[str]
) -> None:
    def objective(trial: asktell.Trial) -> float:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        study.optimize(objective, n_trials=2, show_progress_bar=True)
    assert capsys.readouterr().err.endswith("\n")


def test_without_tqdm_there_is_a_warning_and_no_bar(server: ServerProcess, name: str) -> None:
    code = f"""
import sys
sys.modules["tqdm"] = sys.modules["tqdm.auto"] = None
import asktell
study = asktell.Client().create_study({name!r})
study.optimize(lambda trial: 1.0, n_trials=2, show_progress_bar=True)
print(len(study.trials))
"""
    result = subprocess.run(
        [sys.executable, "-c", code], env=server.environ, capture_output=True, text=True
    )
    assert result.stdout == "2\n", result.stderr
    # It points at the caller's line.
    assert "<string>:6: UserWarning: No progress bar" in result.stderr


def test_garbage_is_collected_after_each_trial_if_wanted(study: asktell.Study) -> None:
    collected: list[Any] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and info["generation"] == 2:
            collected.append(info)

    gc.callbacks.append(note)
    try:
        study.optimize(parabola, n_trials=3, gc_after_trial=True)
    finally:
        gc.callbacks.remove(note)
    assert len(collected) >= 3
