"""Runs an Optuna objective in several processes of this machine on one study that Asktell keeps.

No sweep, no workers: each process asks for trials by itself. The same program may run on any
number of machines, with ASKTELL_URL and ASKTELL_TOKEN set.
"""

import argparse
import multiprocessing
import sys

import asktell
import optuna
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

EPOCHS = 20
PRUNER = {"type": "MedianPruner", "args": {"n_startup_trials": 5, "n_warmup_steps": 2}}


def objective(trial: optuna.Trial) -> float:
    images, labels = load_digits(return_X_y=True)
    train_images, val_images, train_labels, val_labels = train_test_split(
        images / 16, labels, test_size=0.25, random_state=0, stratify=labels
    )
    model = MLPClassifier(
        hidden_layer_sizes=(trial.suggest_int("hidden_units", 16, 256, log=True),),
        activation=trial.suggest_categorical("activation", ["relu", "tanh", "logistic"]),
        learning_rate_init=trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True),
        batch_size=trial.suggest_categorical("batch_size", [16, 32, 64, 128]),
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


def run_trials(name: str, n_trials: int) -> None:
    asktell.Client().get_study(name).optimize(objective, n_trials=n_trials)


def main() -> int:
    options = parse_options()
    study = asktell.Client().create_study(
        options.study, direction="maximize", pruner=PRUNER, if_exists="load"
    )
    # A process that is forked from one with threads may hang; a new one cannot.
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=run_trials, args=(study.name, options.trials))
        for _ in range(options.processes)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        print("A training process failed.", file=sys.stderr)
        return 1
    print(f"Best accuracy {study.best_value:.2%} with {study.best_params}")
    return 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", default="digits-optimize")
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--trials", type=int, default=10, help="for each process")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
