"""Trains a small neural network on handwritten digits, as a run of Weights & Biases.

Nothing here knows of Asktell, or of a sweep: parameters are in `wandb.config`, metrics are logged.
"""

import wandb
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier


def main() -> None:
    wandb.init()
    images, labels = load_digits(return_X_y=True)
    train_images, val_images, train_labels, val_labels = train_test_split(
        images / 16, labels, test_size=0.25, random_state=0, stratify=labels
    )
    model = MLPClassifier(
        hidden_layer_sizes=(wandb.config.hidden_units,),
        activation=wandb.config.activation,
        learning_rate_init=wandb.config.optimizer["learning_rate"],
        batch_size=wandb.config.optimizer["batch_size"],
        random_state=0,
    )
    for _ in range(wandb.config.epochs):
        model.partial_fit(train_images, train_labels, classes=range(10))
        wandb.log({"accuracy": model.score(val_images, val_labels), "loss": model.loss_})


if __name__ == "__main__":
    main()
