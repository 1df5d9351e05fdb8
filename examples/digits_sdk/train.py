"""Trains a small neural network on handwritten digits as a trial of a sweep.

It takes its parameters from the trial, reports after each epoch, and stops when it is hopeless.
"""

import asktell
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

EPOCHS = 20


def train(trial: asktell.Trial) -> None:
    images, labels = load_digits(return_X_y=True)
    train_images, val_images, train_labels, val_labels = train_test_split(
        images / 16, labels, test_size=0.25, random_state=0, stratify=labels
    )
    model = MLPClassifier(
        hidden_layer_sizes=(trial.params["model"]["hidden_units"],),
        activation=trial.params["model"]["activation"],
        learning_rate_init=trial.params["learning_rate"],
        batch_size=trial.params["batch_size"],
        random_state=0,
    )
    for epoch in range(EPOCHS):
        model.partial_fit(train_images, train_labels, classes=range(10))
        trial.report(model.score(val_images, val_labels), epoch)
        if trial.should_prune():
            raise asktell.TrialPruned


if __name__ == "__main__":
    with asktell.current_trial() as trial:
        train(trial)
