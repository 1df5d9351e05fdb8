"""A study of the server as one of Optuna's: plots, importances, dataframes."""

import math
import subprocess
import sys
from datetime import datetime
from typing import Any

import asktell
import optuna
import pytest
from asktell._to_optuna import REASON_ATTR, describe_constraints
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState

from tests.sdk.servers import ServerProcess

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


def objective(trial: Any) -> float:
    lr = trial.suggest_float("lr", 1e-4, 1.0, log=True)
    width = trial.suggest_int("width", 2, 8, step=2)
    trial.set_user_attr("seen", [lr, width])
    trial.set_constraint("small", width - 6)
    for step in range(3):
        trial.report(lr + step, step)
    if trial.number == 2:
        raise asktell.TrialPruned
    if trial.number == 3:
        raise ValueError("odd")
    return float(lr + len(trial.suggest_categorical("kind", ["a", "bc"])))


@pytest.fixture
def copied(study: asktell.Study) -> optuna.Study:
    """Of a study with trials in every state."""
    study.optimize(objective, n_trials=8, catch=ValueError)
    study.set_user_attr("dataset", "digits")
    study.ask()
    study.enqueue_trial({"lr": 0.5}, {"by": "hand"})
    return study.to_optuna()


def test_the_study_is_the_same(study: asktell.Study, copied: optuna.Study) -> None:
    assert copied.study_name == study.name
    assert copied.direction is StudyDirection.MINIMIZE
    assert copied.metric_names is None
    assert copied.user_attrs == {"dataset": "digits"}
    assert copied.best_trial.number == study.best_trial.number
    assert copied.best_params == study.best_params
    assert copied.best_value == study.best_value


@pytest.mark.parametrize(
    ("version", "written"),
    [
        ("4.9.0", {"constraints": [1.0, -1.0]}),
        ("5.0.0", {"constraints:a": 1.0, "constraints:b": -1.0}),
    ],
)
def test_each_optuna_finds_the_constraints_where_it_looks_for_them(
    version: str, written: dict[str, Any]
) -> None:
    assert describe_constraints({"a": 1.0, "b": -1.0}, version=version) == written
    assert describe_constraints({}, version=version) == {}


def test_every_trial_is_the_same(study: asktell.Study, copied: optuna.Study) -> None:
    assert [trial.state for trial in copied.trials] == [trial.state for trial in study.trials]
    for ours, optunas in zip(study.trials[:8], copied.trials[:8], strict=True):
        assert optunas.number == ours.number
        assert optunas.params == ours.params
        assert optunas.values == ours.values
        assert optunas.intermediate_values == ours.intermediate_values
        assert optunas.user_attrs == ours.user_attrs
        assert optunas.constraints == ours.constraints
        assert ours.datetime_start is not None
        assert optunas.datetime_start == _to_local(ours.datetime_start)
        assert optunas.duration == ours.duration
        assert optunas.last_step == ours.last_step == 2


def test_distributions_are_those_that_were_drawn_from(copied: optuna.Study) -> None:
    assert copied.trials[0].distributions == {
        "lr": FloatDistribution(1e-4, 1.0, log=True),
        "width": IntDistribution(2, 8, step=2),
        "kind": CategoricalDistribution(["a", "bc"]),
    }
    assert set(copied.trials[2].distributions) == {"lr", "width"}


def test_what_is_not_finished_and_what_failed(copied: optuna.Study) -> None:
    failed, running, waiting = copied.trials[3], copied.trials[8], copied.trials[9]
    assert failed.system_attrs[REASON_ATTR] == "ValueError: odd"
    assert (running.state, running.datetime_complete) == (TrialState.RUNNING, None)
    assert (waiting.state, waiting.params) == (TrialState.WAITING, {})
    assert waiting.user_attrs == {"by": "hand"}


def test_optuna_plots_it(copied: optuna.Study) -> None:
    from optuna import visualization

    for plot in (
        visualization.plot_optimization_history,
        visualization.plot_intermediate_values,
        visualization.plot_parallel_coordinate,
        visualization.plot_param_importances,
        visualization.plot_slice,
        visualization.plot_contour,
        visualization.plot_edf,
        visualization.plot_rank,
        visualization.plot_timeline,
    ):
        assert plot(copied).data, plot.__name__
    # A logarithmic range is drawn as one, which its values alone would not have told.
    assert visualization.plot_slice(copied, params=["lr"]).layout.xaxis.type == "log"


def test_its_table_is_a_dataframe(study: asktell.Study) -> None:
    pytest.importorskip("pandas")
    study.optimize(objective, n_trials=4, catch=ValueError)

    table = study.trials_dataframe()
    assert list(table["state"]) == ["COMPLETE", "COMPLETE", "PRUNED", "FAIL"]
    assert list(table["params_lr"]) == [trial.params["lr"] for trial in study.trials]
    assert list(study.trials_dataframe(attrs=("number", "value")).columns) == ["number", "value"]


def test_several_objectives_keep_their_names(client: asktell.Client, name: str) -> None:
    study = client.create_study(name, objectives={"loss": "minimize", "accuracy": "maximize"})
    study.optimize(lambda trial: (trial.suggest_float("x", 0, 1), 0.5), n_trials=4)

    copied = study.to_optuna()

    assert copied.directions == [StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE]
    assert copied.metric_names == ["loss", "accuracy"]
    assert [t.number for t in copied.best_trials] == [t.number for t in study.best_trials]
    assert optuna.visualization.plot_pareto_front(copied).layout.xaxis.title.text == "loss"


def test_ranges_that_change_are_those_of_their_trials(study: asktell.Study) -> None:
    study.optimize(lambda trial: trial.suggest_float("x", 0, trial.number + 1), n_trials=3)

    copied = study.to_optuna()

    assert [t.distributions["x"] for t in copied.trials] == [
        FloatDistribution(0, high) for high in (1, 2, 3)
    ]


def test_conditional_spaces_and_odd_distributions(client: asktell.Client, name: str) -> None:
    space = {
        "optimizer": {
            "kind": {"type": "categorical", "choices": ["sgd", "adam"]},
            "momentum": {
                "type": "float",
                "low": 0,
                "high": 1,
                "when": {"optimizer.kind": ["sgd"]},
            },
        },
        "bell": {"type": "normal", "mu": 5, "sigma": 1},
    }
    study = client.create_study(name, space=space, seed=1, sampler={"type": "RandomSampler"})
    study.optimize(lambda _: 1.0, n_trials=8)

    copied = study.to_optuna()

    conditional = [t for t in copied.trials if "optimizer.momentum" in t.params]
    assert 0 < len(conditional) < 8
    assert all(t.params["optimizer.kind"] == "sgd" for t in conditional)
    bells = [trial.params["bell"] for trial in study.trials]
    assert copied.trials[0].distributions["bell"] == FloatDistribution(min(bells), max(bells))


def test_choices_that_differ_by_branch_become_one_list(client: asktell.Client, name: str) -> None:
    source = """
def objective(trial):
    if trial.number % 2:
        trial.suggest_categorical("batch", [16, 32])
    else:
        trial.suggest_categorical("batch", [64, 128])
"""
    study = client.create_study(name, python=source)
    study.optimize(lambda trial: float(trial.params["batch"]), n_trials=4)

    copied = study.to_optuna()

    assert [t.params for t in copied.trials] == [t.params for t in study.trials]
    distribution = copied.trials[0].distributions["batch"]
    assert isinstance(distribution, CategoricalDistribution)
    assert sorted(map(int, map(str, distribution.choices))) == [16, 32, 64, 128]


def test_infinite_and_missing_numbers_are_kept(study: asktell.Study) -> None:
    with study.ask() as trial:
        trial.report(math.nan, 0)
        trial.tell(math.inf)

    (copied,) = study.to_optuna().trials

    assert copied.values == [math.inf]
    assert math.isnan(copied.intermediate_values[0])


@pytest.mark.parametrize("change", ["ask", "optimize", "set_user_attr", "enqueue_trial", "tell"])
def test_what_would_change_it_is_refused(study: asktell.Study, change: str) -> None:
    with pytest.raises(RuntimeError, match=f"copy of study '{study.name}'.*`{change}`"):
        getattr(study.to_optuna(), change)("x", 1)


def test_without_optuna_a_copy_says_what_is_missing(server: ServerProcess, name: str) -> None:
    code = f"""
import sys
sys.modules["optuna"] = None
import asktell
study = asktell.Client().create_study({name!r})
try:
    study.to_optuna()
except ImportError as error:
    print(error)
"""
    result = subprocess.run(
        [sys.executable, "-c", code], env=server.environ, capture_output=True, text=True
    )
    assert "pip install" in result.stdout, result.stderr


def _to_local(at: datetime) -> datetime:
    return at.astimezone().replace(tzinfo=None)
