"""Trials that others suggest, ran before, or tell together."""

from types import SimpleNamespace
from typing import Any

import asktell
import optuna
import pytest
from asktell._imports import describe_trial
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

SPACE = {
    "lr": FloatDistribution(1e-5, 0.1, log=True),
    "layers": IntDistribution(1, 4),
    "optimizer": CategoricalDistribution(["adam", "sgd"]),
}


@pytest.fixture
def local() -> optuna.Study:
    """What a study of plain Optuna left behind: one trial of each end."""

    def objective(trial: optuna.Trial) -> float:
        lr = trial.suggest_float("lr", 1e-5, 0.1, log=True)
        trial.suggest_int("layers", 1, 4)
        trial.suggest_categorical("optimizer", ["adam", "sgd"])
        trial.report(lr, 3)
        trial.set_user_attr("node", "a1")
        if trial.number == 1:
            raise optuna.TrialPruned
        if trial.number == 2:
            raise OSError
        return lr

    study = optuna.create_study()
    study.optimize(objective, n_trials=3, catch=OSError)
    return study


def test_optunas_trials_are_added_as_they_are(
    client: asktell.Client, name: str, local: optuna.Study
) -> None:
    for study in (client.create_study(name), client.create_study(f"{name}-declared", space=SPACE)):
        assert study.add_trials(local.trials) == [0, 1, 2]
        for theirs, ours in zip(local.trials, study.trials, strict=True):
            assert ours.state is theirs.state
            assert ours.params == theirs.params
            assert ours.values == theirs.values
            assert ours.intermediate_values == theirs.intermediate_values
            assert ours.user_attrs == theirs.user_attrs
            assert ours.datetime_start is not None
            assert theirs.datetime_start is not None
            assert ours.datetime_start == theirs.datetime_start.astimezone()
            assert ours.duration == theirs.duration
        assert study.best_value == local.best_value
        assert study.summary().started == 0


def test_our_own_trials_are_added_to_another_study(
    client: asktell.Client, name: str, study: asktell.Study
) -> None:
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    trial.set_constraint("memory", -1.0)
    frozen = trial.tell(0.5)
    other = client.create_study(f"{name}-other")
    distributions = {"x": {"type": "float", "low": 0, "high": 1}}
    assert other.add_trial(frozen, distributions=distributions) == 0
    added = other.get_trial(0)
    assert (added.params, added.values) == (frozen.params, [0.5])
    assert added.constraints == {"memory": -1.0}
    declared = client.create_study(f"{name}-declared", space=distributions)
    assert declared.add_trial(frozen) == 0


def test_trials_of_an_older_optuna_have_their_constraints_elsewhere() -> None:
    trial = optuna.trial.create_trial(value=1.0, system_attrs={"constraints": [0.5, -1.0]})
    older = SimpleNamespace(
        **{name: getattr(trial, name) for name in dir(trial) if name != "constraints"}
    )
    for each in (trial, older):
        document = describe_trial(each, is_space_declared=True, distributions=None)
        assert document["constraints"] in ([0.5, -1.0], {"0": 0.5, "1": -1.0})


def test_many_are_added_in_several_requests(study: asktell.Study) -> None:
    trials = [optuna.trial.create_trial(value=float(number)) for number in range(450)]
    assert study.add_trials(trials) == list(range(450))
    assert study.best_value == 0.0
    assert study.add_trials([]) == []


def test_an_unfinished_trial_is_not_added(study: asktell.Study) -> None:
    running = study.get_trial(study.ask().number)
    with pytest.raises(ValueError, match="COMPLETE"):
        study.add_trial(running)
    assert study.summary().counts.total == 1


def test_enqueued_params_are_handed_out_first(client: asktell.Client, name: str) -> None:
    study = client.create_study(name, space=SPACE)
    assert study.enqueue_trial({"lr": 0.01, "optimizer": "sgd"}, {"why": "the paper's"}) == 0
    assert study.enqueue_trial({"layers": 2}) == 1
    waiting = study.get_trial(0)
    assert (waiting.state, waiting.attempt) == (optuna.trial.TrialState.WAITING, 0)
    trial, second = study.ask(2)
    assert (trial.number, trial.attempt, trial.params["lr"]) == (0, 1, 0.01)
    assert trial.params["optimizer"] == "sgd"
    assert second.params["layers"] == 2
    assert (trial.user_attrs, second.user_attrs) == ({"why": "the paper's"}, {})
    trial.set_user_attr("by", "hand")
    assert trial.user_attrs == {"why": "the paper's", "by": "hand"}
    assert trial.tell(1.0).user_attrs == {"why": "the paper's", "by": "hand"}


def test_enqueued_params_that_do_not_fit_are_refused(client: asktell.Client, name: str) -> None:
    study = client.create_study(name, space=SPACE)
    with pytest.raises(asktell.InvalidError):
        study.enqueue_trial({"layers": 77})
    assert study.summary().counts.total == 0


@pytest.mark.parametrize(
    "distributions", [SPACE, {"lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": True}}]
)
def test_a_space_may_come_with_the_ask(study: asktell.Study, distributions: Any) -> None:
    trial = study.ask(distributions=distributions, params={"lr": 0.01})
    assert trial.params.keys() == distributions.keys()
    assert trial.params["lr"] == 0.01


def test_many_are_told_at_once(study: asktell.Study) -> None:
    trials = study.ask(4)
    trials[0].set_user_attr("epochs", 3)
    told = study.tell_many(
        [(trials[0], 0.5), (trials[1].number, [0.25]), (trials[2], None, "PRUNED")]
    )
    assert [trial.state.name for trial in told] == ["COMPLETE", "COMPLETE", "PRUNED"]
    assert told[0].user_attrs == {"epochs": 3}
    assert trials[0].told == told[0]
    assert study.tell_many([]) == []
    # All or none.
    with pytest.raises(asktell.ConflictError):
        study.tell_many([(trials[3], 1.0), (trials[0], 2.0)])
    assert study.get_trial(3).state is optuna.trial.TrialState.RUNNING


class TestConstraints:
    def test_they_reach_the_server_with_the_tell(self, study: asktell.Study) -> None:
        for memory, value in ((1.0, 0.25), (-1.0, 0.5)):
            trial = study.ask()
            trial.set_constraint("memory", memory)
            assert trial.tell(value).constraints == {"memory": memory}
        # The first is better, but not feasible.
        assert study.best_trial.number == 1
        assert [trial.number for trial in study.best_trials] == [1]

    def test_the_first_value_stays(self, study: asktell.Study) -> None:
        trial = study.ask()
        trial.set_constraint("memory", 1)
        with pytest.warns(UserWarning, match="memory"):
            trial.set_constraint("memory", 2)
        assert trial.constraints == {"memory": 1.0}

    @pytest.mark.parametrize(
        ("value", "error"), [(float("nan"), ValueError), ("much", ValueError), (None, TypeError)]
    )
    def test_what_is_no_number_is_refused(
        self, study: asktell.Study, value: Any, error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            study.ask().set_constraint("memory", value)

    def test_a_tell_may_bring_its_own(self, study: asktell.Study) -> None:
        assert study.ask().tell(1.0, constraints=[0.5]).constraints == {"0": 0.5}
        assert study.tell(study.ask().number, 1.0, constraints=[-1]).constraints == {"0": -1.0}
