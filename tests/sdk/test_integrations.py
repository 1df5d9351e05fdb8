"""Callbacks of optuna-integration, as they are released, with our Trial and our Study.

Frameworks that the environment lacks are skipped by name; docs/integrations.md says with which
versions they were run.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import asktell
import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

pytestmark = [
    # What frameworks and the integrations themselves warn of is theirs.
    pytest.mark.filterwarnings("ignore"),
]

ROUNDS = 5
PRUNED_AT = 2

X = np.random.default_rng(0).normal(size=(60, 3))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)

Train = Callable[[Any], float]


def train_xgboost(trial: Any) -> float:
    xgboost = pytest.importorskip("xgboost")
    from optuna_integration import XGBoostPruningCallback

    data = xgboost.DMatrix(X, label=Y)
    params = {
        "objective": "binary:logistic",
        "max_depth": trial.suggest_int("max_depth", 1, 3),
        "nthread": 1,
    }
    results: dict[str, Any] = {}
    xgboost.train(
        params,
        data,
        num_boost_round=ROUNDS,
        evals=[(data, "validation")],
        evals_result=results,
        callbacks=[XGBoostPruningCallback(trial, "validation-logloss")],
        verbose_eval=False,
    )
    return float(results["validation"]["logloss"][-1])


def import_lightgbm() -> Any:
    try:
        return pytest.importorskip("lightgbm")
    except OSError as error:
        pytest.skip(f"LightGBM lacks a library of the system, such as libgomp1: {error}")


def train_lightgbm(trial: Any) -> float:
    lightgbm = import_lightgbm()
    from optuna_integration import LightGBMPruningCallback

    data = lightgbm.Dataset(X, label=Y)
    params = {
        "objective": "binary",
        "metric": "binary_logloss",
        "num_leaves": trial.suggest_int("num_leaves", 2, 8),
        "num_threads": 1,
        "verbosity": -1,
    }
    results: dict[str, Any] = {}
    lightgbm.train(
        params,
        data,
        num_boost_round=ROUNDS,
        valid_sets=[data],
        valid_names=["valid_0"],
        callbacks=[
            LightGBMPruningCallback(trial, "binary_logloss"),
            lightgbm.record_evaluation(results),
        ],
    )
    return float(results["valid_0"]["binary_logloss"][-1])


def train_catboost(trial: Any) -> float:
    catboost = pytest.importorskip("catboost")
    from optuna_integration import CatBoostPruningCallback

    callback = CatBoostPruningCallback(trial, "Logloss")
    model = catboost.CatBoostClassifier(
        iterations=ROUNDS,
        depth=trial.suggest_int("depth", 1, 3),
        thread_count=1,
        allow_writing_files=False,
        verbose=False,
    )
    model.fit(X, Y, eval_set=[(X, Y)], callbacks=[callback])
    callback.check_pruned()
    return float(model.get_best_score()["validation"]["Logloss"])


def train_keras(trial: Any) -> float:
    pytest.importorskip("torch")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "torch")
        keras = pytest.importorskip("keras")
    from optuna_integration import KerasPruningCallback

    model = keras.Sequential([keras.layers.Dense(1, activation="sigmoid")])
    rate = trial.suggest_float("rate", 1e-3, 1e-1, log=True)
    model.compile(optimizer=keras.optimizers.SGD(rate), loss="binary_crossentropy")
    callback = KerasPruningCallback(trial, "val_loss")
    fit = model.fit(X, Y, epochs=ROUNDS, validation_data=(X, Y), verbose=0, callbacks=[callback])
    return float(fit.history["val_loss"][-1])


def train_ignite(trial: Any) -> float:
    engine = pytest.importorskip("ignite.engine")
    from optuna_integration import PyTorchIgnitePruningHandler

    rate = trial.suggest_float("rate", 0.5, 0.9)
    trainer = engine.Engine(lambda *_: None)
    evaluator = engine.Engine(lambda *_: None)

    def evaluate(_: Any) -> None:
        evaluator.run([0])

    def measure(of: Any) -> None:
        of.state.metrics["loss"] = rate**trainer.state.epoch

    trainer.add_event_handler(engine.Events.EPOCH_COMPLETED, evaluate)
    evaluator.add_event_handler(engine.Events.COMPLETED, measure)
    # Its epochs count from 1.
    handler = PyTorchIgnitePruningHandler(trial, "loss", trainer)
    evaluator.add_event_handler(engine.Events.COMPLETED, handler)
    trainer.run([0], max_epochs=ROUNDS)
    return float(evaluator.state.metrics["loss"])


def train_skorch(trial: Any) -> float:
    skorch = pytest.importorskip("skorch")
    torch = pytest.importorskip("torch")
    from optuna_integration import SkorchPruningCallback

    net = skorch.NeuralNetClassifier(
        torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Softmax(dim=-1)),
        lr=trial.suggest_float("lr", 1e-3, 1e-1, log=True),
        max_epochs=ROUNDS,
        verbose=0,
        callbacks=[SkorchPruningCallback(trial, "valid_loss")],
    )
    net.fit(X.astype("float32"), Y)
    return float(net.history[-1, "valid_loss"])


def train_lightning(trial: Any) -> float:
    lightning = pytest.importorskip("lightning.pytorch")
    torch = pytest.importorskip("torch")
    from optuna_integration import PyTorchLightningPruningCallback

    rate = trial.suggest_float("rate", 1e-3, 1e-1, log=True)

    class Model(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(3, 1)

        def _find_loss(self, batch: Any) -> Any:
            (x,) = batch
            return self.layer(x).pow(2).mean()

        def training_step(self, batch: Any) -> Any:
            return self._find_loss(batch)

        def validation_step(self, batch: Any) -> None:
            self.log("val_loss", self._find_loss(batch))

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=rate)

    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.tensor(X).float()))
    callback = PyTorchLightningPruningCallback(trial, "val_loss")
    trainer = lightning.Trainer(
        max_epochs=ROUNDS,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[callback],
    )
    trainer.fit(Model(), data, data)
    callback.check_pruned()
    return float(trainer.callback_metrics["val_loss"])


def train_fastai(trial: Any) -> float:
    learner = pytest.importorskip("fastai.learner")
    torch = pytest.importorskip("torch")
    from fastai.data.core import DataLoaders
    from optuna_integration import FastAIPruningCallback

    rows = torch.utils.data.TensorDataset(torch.tensor(X).float(), torch.tensor(Y[:, None]).float())
    loader = torch.utils.data.DataLoader(rows, batch_size=20)
    learn = learner.Learner(
        DataLoaders(loader, loader),
        torch.nn.Linear(3, 1),
        loss_func=torch.nn.MSELoss(),
        cbs=[FastAIPruningCallback(trial)],
    )
    with learn.no_bar(), learn.no_logging():
        learn.fit(ROUNDS, lr=trial.suggest_float("lr", 1e-3, 1e-1, log=True))
    return float(learn.recorder.values[-1][1])


def train_sklearn(trial: Any) -> float:
    linear_model = pytest.importorskip("sklearn.linear_model")
    model = linear_model.SGDClassifier(alpha=trial.suggest_float("alpha", 1e-5, 1e-1, log=True))
    for step in range(ROUNDS):
        model.partial_fit(X, Y, classes=np.unique(Y))
        trial.report(1.0 - model.score(X, Y), step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return 1.0 - float(model.score(X, Y))


TRAINERS = [
    train_xgboost,
    train_lightgbm,
    train_catboost,
    train_keras,
    train_ignite,
    train_skorch,
    train_lightning,
    train_fastai,
    train_sklearn,
]


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
