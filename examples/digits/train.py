"""Trains a small neural network on handwritten digits and prints how good it is.

Nothing here knows of Asktell: parameters come as options, `accuracy=…` goes to standard output.
"""

import argparse

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

EPOCHS = 20


def main() -> None:
    options = parse_options()
    images, labels = load_digits(return_X_y=True)
    train_images, val_images, train_labels, val_labels = train_test_split(
        images / 16, labels, test_size=0.25, random_state=0, stratify=labels
    )
    model = MLPClassifier(
        hidden_layer_sizes=(options.hidden_units,),
        activation=options.activation,
        learning_rate_init=options.learning_rate,
        batch_size=options.batch_size,
        alpha=options.alpha,
        random_state=0,
    )
    for epoch in range(EPOCHS):
        model.partial_fit(train_images, train_labels, classes=range(10))
        print(f"epoch={epoch} accuracy={model.score(val_images, val_labels):.4f}", flush=True)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hidden_units", type=int, required=True)
    parser.add_argument("--activation", choices=["relu", "tanh", "logistic"], required=True)
    parser.add_argument("--learning_rate", type=float, required=True)
    parser.add_argument("--batch_size", type=int, required=True)
    parser.add_argument("--alpha", type=float, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
