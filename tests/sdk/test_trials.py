"""A trial's life on the real server: ask, suggest, report, tell."""

import math
from typing import Any

import asktell
import httpx
import numpy as np
import optuna
import pytest

from tests.sdk.servers import ServerProcess

SPACE = {
    "lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": True},
    "net": {"layers": {"type": "int", "low": 1, "high": 4}},
    "optimizer": {"type": "categorical", "choices": ["adam", "sgd"]},
}


@pytest.fixture
def threshold(client: asktell.Client, name: str) -> asktell.Study:
    """A study that prunes whatever reports more than 1."""
    pruner = {"type": "ThresholdPruner", "args": {"upper": 1.0}}
    return client.create_study(name, pruner=pruner)


def test_one_trial_or_a_list(study: asktell.Study) -> None:
    assert study.ask().number == 0
    trials = study.ask(3)
    assert [trial.number for trial in trials] == [1, 2, 3]
    assert [trial.attempt for trial in trials] == [1, 1, 1]
    assert [trial.number for trial in study.ask(1)] == [4]


def test_a_declared_space_comes_with_the_ask(client: asktell.Client, name: str) -> None:
    study = client.create_study(name, space=SPACE)
    trial = study.ask(params={"optimizer": "sgd"})
    assert set(trial.params) == {"lr", "net", "optimizer"}
    assert trial.params["optimizer"] == "sgd"
    # Whatever came with the ask needs no further request.
    client.delete_study(name)
    assert trial.suggest_float("lr", 1e-5, 0.1, log=True) == trial.params["lr"]
    assert trial.suggest_int("net.layers", 1, 4) == trial.params["net"]["layers"]
    assert trial.suggest_categorical("optimizer", ["adam", "sgd"]) == "sgd"


def test_fixed_params_that_do_not_fit_are_refused(client: asktell.Client, name: str) -> None:
    study = client.create_study(name, space=SPACE)
    with pytest.raises(asktell.InvalidError, match="optimiser"):
        study.ask(params={"optimiser": "sgd"})
    assert study.summary().counts.total == 0


def test_params_can_be_fixed_without_a_declared_space(study: asktell.Study) -> None:
    trial = study.ask(params={"x": np.float64(0.25)})
    assert trial.suggest_float("x", 0, 1) == 0.25


def test_suggestions_have_their_types_and_stay_the_same(study: asktell.Study) -> None:
    trial = study.ask()
    number = trial.suggest_float("number", 0, 1)
    stepped = trial.suggest_float("stepped", 0.0, 1.0, step=0.25)
    whole = trial.suggest_int("whole", 1, 64, log=True)
    even = trial.suggest_int("even", 0, 10, step=2)
    assert type(number) is float
    assert 0 <= number <= 1
    assert stepped in (0.0, 0.25, 0.5, 0.75, 1.0)
    assert type(whole) is int
    assert even % 2 == 0
    assert trial.suggest_float("number", 0, 1) == number
    assert trial.params == {"number": number, "stepped": stepped, "whole": whole, "even": even}
    trial.tell(0.0)
    assert study.get_trial(trial.number).params == trial.params


def test_a_parameter_is_declared_once(study: asktell.Study) -> None:
    trial = study.ask()
    x = trial.suggest_float("x", 0, 1)
    with pytest.warns(UserWarning, match="'x' is .* stays so"):
        assert trial.suggest_float("x", 5, 10) == x
    with pytest.raises(ValueError, match="another kind than int"):
        trial.suggest_int("x", 5, 10)
    assert trial.distributions == {"x": optuna.distributions.FloatDistribution(0, 1)}


def test_an_objective_runs_on_a_trial_once_more(study: asktell.Study) -> None:
    def objective(trial: Any) -> list[Any]:
        numbers = [trial.suggest_float("x", 0, 1), trial.suggest_int("n", 1, 64, log=True)]
        return [*numbers, trial.suggest_categorical("c", [None, "a"])]

    trial = study.ask()
    values = objective(trial)
    frozen = trial.tell(1.0)
    assert objective(frozen) == values
    with pytest.raises(ValueError, match="no parameter 'y'"):
        frozen.suggest_float("y", 0, 1)
    with pytest.raises(ValueError, match="another kind than int"):
        frozen.suggest_int("x", 0, 1)


def test_a_declared_parameter_is_not_another_one(client: asktell.Client, name: str) -> None:
    trial = client.create_study(name, space=SPACE).ask()
    with pytest.raises(ValueError, match="another kind than int"):
        trial.suggest_int("lr", 5, 10)
    with pytest.warns(UserWarning, match="'lr' is .* stays so"):
        assert trial.suggest_float("lr", 5, 10) == trial.params["lr"]


@pytest.mark.parametrize(
    "choices", [[None, True, 1.5, "x"], (np.int64(3), np.int64(5)), [True, False], ["1", 1]]
)
def test_a_choice_is_the_callers_own_object(study: asktell.Study, choices: Any) -> None:
    chosen = {id(study.ask().suggest_categorical("c", choices)) for _ in range(6)}
    assert chosen <= {id(choice) for choice in choices}


@pytest.mark.parametrize("choice", [object(), (1, 2), [1, 2], {"a": 1}])
def test_a_choice_that_is_no_value_is_refused(study: asktell.Study, choice: Any) -> None:
    trial = study.ask()
    with pytest.raises(TypeError, match=r"'c' is None, a bool, a number or text|JSON"):
        trial.suggest_categorical("c", ["a", choice])
    assert trial.params == {}


def test_a_declared_choice_may_be_a_list(client: asktell.Client, name: str) -> None:
    study = client.create_study(
        name, space={"widths": {"type": "categorical", "choices": [[8, 8], [16]]}}
    )
    choices = [(8, 8), (16,)]
    assert study.ask().suggest_categorical("widths", choices) in choices


def test_a_range_that_makes_no_sense_is_refused(study: asktell.Study) -> None:
    trial = study.ask()
    with pytest.raises(asktell.InvalidError):
        trial.suggest_float("x", 1, 0)
    assert trial.params == {}


def test_a_parameter_cannot_change_its_kind(study: asktell.Study) -> None:
    study.ask().suggest_float("x", 0, 1)
    with pytest.raises(asktell.InvalidError):
        study.ask().suggest_categorical("x", ["a", "b"])


def test_a_report_brings_the_decision(threshold: asktell.Study) -> None:
    trial = threshold.ask()
    assert trial.should_prune() is False
    trial.report(0.5, 0)
    assert trial.should_prune() is False
    trial.report(np.float32(2.0), np.int64(1))
    assert trial.should_prune() is True
    told = trial.tell(state=optuna.trial.TrialState.PRUNED)
    assert told.intermediate_values == {0: 0.5, 1: 2.0}
    assert told.value == 2.0


def test_the_decision_is_asked_for_when_somebody_else_reported(
    threshold: asktell.Study, server: ServerProcess
) -> None:
    trial = threshold.ask()
    answer = httpx.post(
        f"{server.url}/studies/{threshold.name}/trials/{trial.number}/report",
        json={"step": 0, "value": 9.0},
        headers={"Authorization": f"Bearer {server.token}"},
    )
    assert answer.json()["should_prune"] is True
    assert trial.should_prune() is True


def test_numbers_beyond_json_travel(study: asktell.Study) -> None:
    trial = study.ask()
    for step, value in enumerate([math.nan, math.inf, -math.inf]):
        trial.report(value, step)
    told = trial.tell(math.inf)
    assert told.values == [math.inf]
    assert math.isnan(told.intermediate_values[0])
    assert told.intermediate_values[1] == math.inf
    assert told.intermediate_values[2] == -math.inf


@pytest.mark.parametrize(
    ("value", "step", "error"),
    [
        (0.5, 1.5, TypeError),
        (0.5, "one", ValueError),
        ("0.5", 1, TypeError),
        (None, 1, TypeError),
        (0.5, -1, ValueError),
        (0.5, 2**31, ValueError),
    ],
)
def test_a_report_that_is_none_is_refused(
    study: asktell.Study, value: Any, step: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        study.ask().report(value, step)


def test_several_objectives_take_no_reports(client: asktell.Client, name: str) -> None:
    study = client.create_study(name, directions=["minimize", "minimize"])
    trial = study.ask()
    with pytest.raises(asktell.InvalidError):
        trial.report(0.5, 0)
    assert trial.tell([1, 2.5]).values == [1.0, 2.5]


def test_telling_the_same_again_is_fine_and_something_else_is_not(study: asktell.Study) -> None:
    trial = study.ask()
    first = trial.tell(1 / 3)
    assert trial.tell(1 / 3) == first
    assert study.tell(trial.number, 1 / 3) == first
    with pytest.raises(asktell.ConflictError) as caught:
        trial.tell(0.5)
    assert caught.value.code == "already-told"


def test_nan_is_refused_and_leaves_the_trial_running(study: asktell.Study) -> None:
    trial = study.ask()
    with pytest.raises(asktell.InvalidError):
        trial.tell(math.nan)
    with pytest.raises(asktell.InvalidError):
        trial.tell([1.0, 2.0])
    assert trial.tell(1.0).state is optuna.trial.TrialState.COMPLETE


def test_telling_nothing_is_refused(study: asktell.Study) -> None:
    with pytest.raises(ValueError, match="state"):
        study.ask().tell()


def test_user_attributes_come_along_with_the_tell(study: asktell.Study) -> None:
    trial = study.ask()
    trial.set_user_attr("epochs", np.int64(3))
    trial.set_user_attr("sizes", (np.float32(0.5), "x"))
    assert trial.user_attrs == {"epochs": 3, "sizes": [0.5, "x"]}
    assert trial.tell(1.0).user_attrs == {"epochs": 3, "sizes": [0.5, "x"]}


@pytest.mark.parametrize("value", [object(), math.nan, np.zeros(2)])
def test_an_attribute_without_json_form_is_refused_where_it_is_set(
    study: asktell.Study, value: Any
) -> None:
    trial = study.ask()
    with pytest.raises((TypeError, ValueError)):
        trial.set_user_attr("a", value)
    assert trial.user_attrs == {}


def test_a_finished_trial_takes_no_reports(study: asktell.Study) -> None:
    trial = study.ask()
    trial.tell(1.0)
    with pytest.raises(asktell.ConflictError) as caught:
        trial.report(0.5, 0)
    assert caught.value.code == "trial-not-running"


def test_listing_pages_through_all_and_filters(study: asktell.Study) -> None:
    for trial in study.ask(7)[:3]:
        trial.tell(float(trial.number))
    assert [trial.number for trial in study.get_trials(page_size=3)] == list(range(7))
    complete = study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
    assert [trial.value for trial in complete] == [0.0, 1.0, 2.0]
    assert len(study.get_trials(states=["complete", asktell.TrialState.RUNNING])) == 7


def test_a_frozen_trial_tells_its_whole_life(study: asktell.Study) -> None:
    running = study.ask()
    frozen = study.get_trial(running.number)
    assert frozen.state is optuna.trial.TrialState.RUNNING
    assert frozen.value is None
    assert frozen.duration is None
    running.tell(state="FAIL", reason="out of memory")
    frozen = study.get_trial(running.number)
    assert frozen.reason == "out of memory"
    assert frozen.ask_seq is not None
    assert frozen.tell_seq is not None
    assert frozen.ask_seq < frozen.tell_seq
    assert frozen.duration is not None
    assert frozen.duration.total_seconds() >= 0
    with pytest.raises(asktell.NotFoundError):
        study.get_trial(99)


class TestWithBlock:
    """A trial never stays running by mistake."""

    def test_a_value_told_inside_counts(self, study: asktell.Study) -> None:
        with study.ask() as trial:
            trial.tell(3.0)
        assert study.best_value == 3.0
        assert study.best_params == {}

    def test_an_exception_fails_the_trial_and_goes_on(self, study: asktell.Study) -> None:
        with pytest.raises(ZeroDivisionError), study.ask() as trial:
            1 / 0  # noqa: B018 - the error is the point
        frozen = study.get_trial(trial.number)
        assert frozen.state is optuna.trial.TrialState.FAIL
        assert frozen.reason == "ZeroDivisionError: division by zero"

    @pytest.mark.parametrize("pruned", [asktell.TrialPruned, optuna.TrialPruned])
    def test_pruning_ends_it_as_pruned_and_stops_there(
        self, study: asktell.Study, pruned: type[Exception]
    ) -> None:
        with study.ask() as trial:
            trial.report(0.5, 3)
            raise pruned
        frozen = study.get_trial(trial.number)
        assert frozen.state is optuna.trial.TrialState.PRUNED
        assert frozen.value == 0.5

    def test_leaving_without_a_tell_is_a_failure(self, study: asktell.Study) -> None:
        with study.ask() as trial:
            pass
        frozen = study.get_trial(trial.number)
        assert frozen.state is optuna.trial.TrialState.FAIL
        assert frozen.reason is not None
        assert "without a tell" in frozen.reason

    def test_an_exception_after_the_tell_changes_nothing(self, study: asktell.Study) -> None:
        def tell_and_raise() -> None:
            with study.ask() as trial:
                trial.tell(1.0)
                raise ValueError("later")

        with pytest.raises(ValueError, match="later"):
            tell_and_raise()
        assert study.get_trial(0).state is optuna.trial.TrialState.COMPLETE

    def test_an_interruption_fails_the_trial(self, study: asktell.Study) -> None:
        with pytest.raises(KeyboardInterrupt), study.ask() as trial:
            raise KeyboardInterrupt
        assert study.get_trial(trial.number).reason == "KeyboardInterrupt"

    def test_attributes_that_the_server_refuses_fail_the_trial_without_them(
        self, study: asktell.Study
    ) -> None:
        trial = study.ask()
        nested: list[object] = []
        for _ in range(300):
            nested = [nested]
        trial.set_user_attr("odd", nested)
        with pytest.raises(asktell.InvalidError), trial:
            trial.tell(1.0)
        assert study.get_trial(trial.number).state is optuna.trial.TrialState.FAIL

    def test_the_exception_under_way_wins_over_a_tell_that_fails(
        self, client: asktell.Client, study: asktell.Study, caplog: pytest.LogCaptureFixture
    ) -> None:
        trial = study.ask()
        client.delete_study(study.name)
        with pytest.raises(ZeroDivisionError), trial:
            raise ZeroDivisionError
        assert "could not be told FAIL" in caplog.text
