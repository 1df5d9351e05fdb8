"""One training process: an Optuna objective, run for trials of a study that Asktell keeps.

Usage: train.py STUDY N_TRIALS, with ASKTELL_URL and ASKTELL_DATA_DIR (or ASKTELL_TOKEN) set.
"""

import sys

import asktell
import numpy as np
import optuna
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

EPOCHS = 20
SHIFTS = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))

Images = NDArray[np.float64]
Labels = NDArray[np.int64]


def load_data() -> tuple[Images, Images, Labels, Labels]:
    """Training and validation images (8×8, flattened, 0 to 1) and their labels.

    Each training image comes five times: as it is, and shifted by a pixel in each direction.
    """
    images, labels = load_digits(return_X_y=True)
    train_images, val_images, train_labels, val_labels = train_test_split(
        images / 16, labels, test_size=0.25, random_state=0, stratify=labels
    )
    squares = train_images.reshape(-1, 8, 8)
    shifted = [np.roll(squares, shift, axis=(1, 2)).reshape(-1, 64) for shift in SHIFTS]
    return np.concatenate(shifted), val_images, np.tile(train_labels, len(SHIFTS)), val_labels


train_images, val_images, train_labels, val_labels = load_data()


def objective(trial: optuna.Trial) -> float:
    model = MLPClassifier(
        hidden_layer_sizes=(trial.suggest_int("hidden_units", 16, 256, log=True),),
        activation=trial.suggest_categorical("activation", ["relu", "tanh", "logistic"]),
        learning_rate_init=trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True),
        batch_size=trial.suggest_int("batch_size", 16, 256, log=True),
        alpha=trial.suggest_float("alpha", 1e-6, 1e-1, log=True),
        random_state=0,
    )
    accuracy = 0.0
    for epoch in range(EPOCHS):
        model.partial_fit(train_images, train_labels, classes=range(10))
        accuracy = float(model.score(val_images, val_labels))
        trial.report(accuracy, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return accuracy


if __name__ == "__main__":
    study = asktell.Client().get_study(sys.argv[1])
    study.optimize(objective, n_trials=int(sys.argv[2]))
