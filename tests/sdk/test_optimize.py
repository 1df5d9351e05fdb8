"""`Study.optimize` runs Optuna objectives unchanged."""

import logging
import math
import signal
import threading
from collections.abc import Iterator
from typing import Any

import asktell
import optuna
import pytest
from optuna.trial import TrialState

from tests.sdk.clocks import FakeTime
from tests.sdk.servers import ServerProcess


def parabola(trial: Any) -> float:
    x = trial.suggest_float("x", -1, 1)
    return float(x**2)


def states(study: asktell.Study) -> list[str]:
    return [trial.state.name for trial in study.trials]


def ended_states(study: asktell.Study) -> set[str]:
    """Of all trials but one that a thread was given too late, and gave back."""
    trials = [trial for trial in study.trials if trial.phase != "queued"]
    assert {trial.phase for trial in trials} == {"ended"}
    return {trial.state.name for trial in trials}


def test_the_same_objective_runs_on_optuna_and_here(study: asktell.Study) -> None:
    def objective(trial: Any) -> float:
        x = trial.suggest_float("x", -10, 10)
        trial.set_user_attr("seen", x)
        for step in range(3):
            trial.report(abs(x) + step, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return (
            float(x**2)
            + trial.suggest_int("n", 0, 3)
            + len(trial.suggest_categorical("c", ["", "a"]))
        )

    local = optuna.create_study()
    for each in (local, study):
        each.optimize(objective, n_trials=5)
        assert len(each.get_trials()) == 5
    best = study.best_trial
    assert best.value == study.best_value == min(trial.value or 0 for trial in study.trials)
    assert best.user_attrs == {"seen": best.params["x"]}
    assert len(best.intermediate_values) == 3


def test_threads_share_the_trials(study: asktell.Study) -> None:
    together = threading.Barrier(4, timeout=60)

    def objective(trial: asktell.Trial) -> float:
        if trial.number < 4:
            together.wait()
        return parabola(trial)

    study.optimize(objective, n_trials=10, n_jobs=4)
    assert [trial.number for trial in study.trials] == list(range(10))
    assert set(states(study)) == {"COMPLETE"}


def test_an_exception_fails_its_trial_and_is_raised(study: asktell.Study) -> None:
    def objective(trial: asktell.Trial) -> float:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        study.optimize(objective, n_trials=3)
    (trial,) = study.trials
    assert (trial.state, trial.reason) == (TrialState.FAIL, "OSError: disk full")


def test_an_exception_of_one_thread_ends_all_and_is_raised(study: asktell.Study) -> None:
    def objective(trial: asktell.Trial) -> float:
        if trial.number == 2:
            raise OSError("disk full")
        return parabola(trial)

    with pytest.raises(OSError, match="disk full"):
        study.optimize(objective, n_jobs=2)
    assert ended_states(study) == {"COMPLETE", "FAIL"}


@pytest.mark.parametrize("catch", [ValueError, (ValueError,), [KeyError, ValueError]])
def test_caught_exceptions_fail_their_trials_only(study: asktell.Study, catch: Any) -> None:
    def objective(trial: asktell.Trial) -> float:
        if trial.number == 0:
            raise ValueError("odd")
        return parabola(trial)

    study.optimize(objective, n_trials=2, catch=catch)
    assert states(study) == ["FAIL", "COMPLETE"]


def test_trials_that_the_python_of_the_study_fails_count_and_end_nothing(
    client: asktell.Client, name: str
) -> None:
    source = """
def objective(trial):
    if trial.number == 1:
        raise ValueError("odd one")
    trial.suggest_float("x", 0, 1)

class Odd(optuna.pruners.BasePruner):
    def prune(self, study, trial):
        if trial.number == 2:
            raise ValueError("odd two")

def pruner():
    return Odd()
"""

    def objective(trial: asktell.Trial) -> float:
        trial.report(trial.params["x"], 0)
        return float(trial.params["x"])

    study = client.create_study(name, python=source)
    study.optimize(objective, n_trials=4)

    assert states(study) == ["COMPLETE", "FAIL", "FAIL", "COMPLETE"]
    assert ["odd one" in (t.reason or "") for t in study.trials] == [False, True, False, False]


def test_text_that_is_a_number_is_one_as_in_optuna(study: asktell.Study) -> None:
    study.optimize(lambda _: "1.5", n_trials=1)
    assert study.best_value == 1.5


@pytest.mark.parametrize("returned", [10**400, "accuracy"])
def test_what_is_no_number_fails_its_trial(study: asktell.Study, returned: Any) -> None:
    study.optimize(lambda _: returned, n_trials=1)
    (trial,) = study.trials
    assert trial.state is TrialState.FAIL
    assert "not a number" in (trial.reason or "")


def test_a_tell_that_is_refused_fails_its_trial_and_is_raised(study: asktell.Study) -> None:
    def objective(trial: asktell.Trial) -> float:
        trial.set_user_attr("weights", "x" * 6_000_000)
        return 1.0

    with pytest.raises(asktell.InvalidError):
        study.optimize(objective, n_trials=3)
    assert states(study) == ["FAIL"]


def test_an_interruption_fails_its_trial_and_is_raised(study: asktell.Study) -> None:
    def objective(trial: asktell.Trial) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study.optimize(objective, n_trials=3, catch=(Exception,))
    assert states(study) == ["FAIL"]


@pytest.fixture
def _plain_interruption() -> Iterator[None]:
    """Ctrl-C as Python has it: flytekit, where some test has imported it, ends the process."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_plain_interruption")
def test_an_interruption_of_threads_lets_them_end_their_trials(study: asktell.Study) -> None:
    main = threading.main_thread().ident
    assert main is not None

    def objective(trial: asktell.Trial) -> float:
        if trial.number == 1:
            signal.pthread_kill(main, signal.SIGINT)
        return parabola(trial)

    with pytest.raises(KeyboardInterrupt):
        study.optimize(objective, n_jobs=2)
    assert ended_states(study) == {"COMPLETE"}


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        (math.nan, "NaN"),
        (None, "None"),
        ("high", "high"),
        ([1.0, 2.0], "2 values"),
        ([], "0 values"),
    ],
)
def test_what_is_no_value_fails_the_trial_and_the_next_one_starts(
    study: asktell.Study, returned: Any, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    study.optimize(lambda _: returned, n_trials=2)
    assert states(study) == ["FAIL", "FAIL"]
    assert reason in (study.get_trial(0).reason or "")
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2


def test_infinity_is_a_value(study: asktell.Study) -> None:
    study.optimize(lambda _: math.inf, n_trials=1)
    assert study.trials[0].values == [math.inf]


def test_several_objectives(client: asktell.Client, name: str) -> None:
    study = client.create_study(name, directions=["minimize", "maximize"])
    study.optimize(lambda _: (1, 2.5), n_trials=1)
    assert study.trials[0].values == [1.0, 2.5]


def test_callbacks_see_each_finished_trial_and_may_stop(study: asktell.Study) -> None:
    seen: list[tuple[int, TrialState]] = []

    def callback(of: asktell.Study, trial: asktell.FrozenTrial) -> None:
        assert of is study
        seen.append((trial.number, trial.state))
        if len(seen) == 3:
            of.stop()

    def objective(trial: asktell.Trial) -> float:
        if trial.number == 1:
            raise asktell.TrialPruned
        return parabola(trial)

    study.optimize(objective, callbacks=[callback])
    assert seen == [
        (0, TrialState.COMPLETE),
        (1, TrialState.PRUNED),
        (2, TrialState.COMPLETE),
    ]


def test_optunas_own_callback_stops_it(study: asktell.Study) -> None:
    stop = optuna.study.MaxTrialsCallback(3, states=(TrialState.COMPLETE,))
    study.optimize(parabola, n_trials=10, callbacks=[stop])
    assert states(study) == ["COMPLETE"] * 3


def test_stopping_what_does_not_run_is_refused(study: asktell.Study) -> None:
    with pytest.raises(RuntimeError, match="not running"):
        study.stop()


def test_it_ends_quietly_when_the_study_is_finished(client: asktell.Client, name: str) -> None:
    space = {"c": {"type": "categorical", "choices": ["a", "b", "c"]}}
    study = client.create_study(name, space=space, sampler={"type": "GridSampler"})
    study.optimize(lambda trial: len(trial.params["c"]))
    assert sorted(trial.params["c"] for trial in study.trials) == ["a", "b", "c"]
    assert study.summary().state == "finished"
    study.optimize(parabola, n_trials=5)
    assert len(study.trials) == 3


def test_no_trial_starts_after_the_timeout(server: ServerProcess, name: str) -> None:
    time = FakeTime()

    def objective(trial: asktell.Trial) -> float:
        time.sleep(4.0)
        return 1.0

    with server.open_client(clock=time.clock) as client:
        study = client.create_study(name)
        study.optimize(objective, timeout=10.0)
        assert len(study.trials) == 3


def test_a_deleted_study_ends_it_even_if_everything_is_caught(
    client: asktell.Client, study: asktell.Study
) -> None:
    def objective(trial: asktell.Trial) -> float:
        client.delete_study(study.name)
        trial.report(1.0, 0)
        return 1.0

    with pytest.raises(asktell.NotFoundError):
        study.optimize(objective, catch=(Exception,))


def test_an_objective_may_tell_by_itself(study: asktell.Study) -> None:
    def objective(trial: asktell.Trial) -> None:
        trial.tell(4.0)

    study.optimize(objective, n_trials=1)
    assert study.best_value == 4.0
