"""Callbacks of optuna-integration, as they are released, with our Trial and our Study.

Frameworks that the environment lacks are skipped by name; docs/integrations.md says with which
versions they were run.
"""

from pathlib import Path
from typing import Any

import asktell
import optuna
import pytest
from optuna.trial import TrialState

from tests.sdk.trainers import (
    ROUNDS,
    TRAINERS,
    Train,
    X,
    Y,
    import_lightgbm,
    train_ignite,
    train_lightgbm,
)

pytestmark = [
    # What frameworks and the integrations themselves warn of is theirs.
    pytest.mark.filterwarnings("ignore"),
]
PRUNED_AT = 2


@pytest.mark.parametrize("train", TRAINERS, ids=lambda train: train.__name__.removeprefix("train_"))
def test_a_pruning_callback_reports_and_prunes(
    client: asktell.Client, name: str, train: Train
) -> None:
    first_step = 1 if train is train_ignite else 0
    patient = {"type": "ThresholdPruner", "args": {"upper": -1.0, "n_warmup_steps": PRUNED_AT}}
    # No loss is below zero, so every trial is pruned as soon as it may be.
    for pruner, state, last in [
        (None, TrialState.COMPLETE, ROUNDS - 1 + first_step),
        (patient, TrialState.PRUNED, PRUNED_AT),
    ]:
        study = client.create_study(f"{name}-{state.name}", pruner=pruner)
        study.optimize(train, n_trials=2)
        for trial in study.trials:
            assert trial.state is state
            assert list(trial.intermediate_values) == list(range(first_step, last + 1))
        if pruner is None:
            assert study.best_value >= 0


def test_lightgbm_is_refused_against_the_direction_of_the_study(
    client: asktell.Client, name: str
) -> None:
    study = client.create_study(name, direction="maximize")
    import_lightgbm()
    with pytest.raises(ValueError, match="inconsistent with the objective values"):
        study.optimize(train_lightgbm, n_trials=1)


@pytest.mark.parametrize("enable_pruning", [False, True])
def test_optuna_search_cv_searches_a_study_of_the_server(
    client: asktell.Client, name: str, enable_pruning: bool
) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    from optuna_integration import OptunaSearchCV

    study = client.create_study(name, direction="maximize")
    alpha = optuna.distributions.FloatDistribution(1e-5, 1e-1, log=True)
    search = OptunaSearchCV(
        linear_model.SGDClassifier(random_state=0),
        {"alpha": alpha},
        study=study,
        cv=3,
        n_trials=3,
        max_iter=5,
        enable_pruning=enable_pruning,
    )
    search.fit(X, Y)

    assert len(search.trials_) == search.n_trials_ == len(study.trials) == 3
    assert search.best_params_ == study.best_params
    assert search.best_score_ == study.best_value
    assert len(search.cv_results_["mean_test_score"]) == 3
    assert search.trials_dataframe is not None
    assert search.best_estimator_.predict(X).shape == Y.shape
    # The scores that its terminator would want are notes of the trial.
    (copied, *_) = study.to_optuna().trials
    assert len(copied.system_attrs["terminator:cv_scores"]) == 3
    assert "optuna:terminator:cv_scores" not in copied.user_attrs
    assert copied.distributions == {"alpha": alpha}


def test_the_callback_of_weights_and_biases_logs_every_trial(
    study: asktell.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb")
    from optuna_integration import WeightsAndBiasesCallback

    monkeypatch.setenv("WANDB_MODE", "disabled")
    callback = WeightsAndBiasesCallback(wandb_kwargs={"project": "tests"}, as_multirun=True)
    names: list[Any] = []

    def note_run(_: Any, trial: asktell.FrozenTrial) -> None:
        names.append(trial.number)

    study.optimize(
        lambda trial: trial.suggest_float("x", 0, 1), n_trials=2, callbacks=[callback, note_run]
    )
    assert names == [0, 1]
    assert wandb.run is None


def test_a_trial_is_shared_by_the_processes_of_torch(study: asktell.Study, tmp_path: Path) -> None:
    distributed = pytest.importorskip("torch.distributed")
    from optuna_integration import TorchDistributedTrial

    def objective(trial: asktell.Trial) -> float:
        shared = TorchDistributedTrial(trial)
        x = shared.suggest_float("x", 0.5, 1)
        shared.report(x, 0)
        assert shared.params == trial.params
        # It sends floats with half of their digits.
        assert trial.params["x"] == pytest.approx(x)
        assert shared.distributions == {"x": optuna.distributions.FloatDistribution(0.5, 1)}
        assert shared.datetime_start == trial.datetime_start
        assert not shared.should_prune()
        return x

    rendezvous = f"file://{tmp_path}/rendezvous"
    distributed.init_process_group("gloo", init_method=rendezvous, rank=0, world_size=1)
    try:
        study.optimize(objective, n_trials=1)
    finally:
        distributed.destroy_process_group()
    assert study.best_value == pytest.approx(study.best_params["x"])


def test_a_callback_that_needs_distributions_is_given_a_copy(
    study: asktell.Study, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    from optuna_integration import MLflowCallback

    log = MLflowCallback(tracking_uri=f"file:{tmp_path}")

    def log_copy(study: asktell.Study, trial: asktell.FrozenTrial) -> None:
        copied = study.to_optuna()
        log(copied, copied.trials[trial.number])

    @log.track_in_mlflow()
    def objective(trial: Any) -> float:
        mlflow.log_metric("loss", 2.0)
        return float(trial.suggest_float("x", 0, 1))

    study.optimize(objective, n_trials=1, callbacks=[log_copy])

    (run,) = mlflow.search_runs(experiment_names=[study.name], output_format="list")
    assert run.data.metrics == {"loss": 2.0, "value": study.best_value}
    assert run.data.tags["x_distribution"].startswith("FloatDistribution")


def test_optunas_terminator_looks_at_a_copy(study: asktell.Study) -> None:
    terminator = optuna.terminator.Terminator(
        improvement_evaluator=optuna.terminator.BestValueStagnationEvaluator(3),
        error_evaluator=optuna.terminator.StaticErrorEvaluator(0),
        min_n_trials=1,
    )

    def stop_early(study: asktell.Study, trial: asktell.FrozenTrial) -> None:
        if terminator.should_terminate(study.to_optuna()):
            study.stop()

    study.optimize(lambda trial: trial.suggest_int("x", 0, 0), n_trials=20, callbacks=[stop_early])
    assert 3 < len(study.trials) < 10


def test_optunas_storage_is_refused_with_a_sentence(study: asktell.Study) -> None:
    trial = study.ask()
    trial.storage.set_trial_system_attr(trial._trial_id, "note", 1)
    with pytest.raises(AttributeError, match="kept by a server"):
        trial.storage.get_trial(trial._trial_id)  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="no notes of trial 99"):
        trial.storage.set_trial_system_attr(99, "note", 1)
    with pytest.raises(AttributeError, match="kept by a server"):
        study._storage.get_all_trials(0)
    told = trial.tell(1.0)
    assert told.system_attrs == {"note": 1}
    with pytest.raises(AttributeError, match=r"to_optuna\(\)\.trials\[0\]` has them"):
        _ = told.distributions
