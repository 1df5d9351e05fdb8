"""Trainings of frameworks with the pruning callbacks of optuna-integration.

Each is an objective, and is skipped where its framework is missing.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest

ROUNDS = 5
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
