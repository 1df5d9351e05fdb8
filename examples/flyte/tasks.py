"""A Flyte task that trains a small neural network on handwritten digits.

It knows nothing of a search: its inputs are the parameters, its output is the accuracy.
"""

import flytekit as fl
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier


@fl.task
async def train(hidden_units: int, optimizer: dict[str, float], epochs: int) -> float:
    images, labels = load_digits(return_X_y=True)
    train_images, val_images, train_labels, val_labels = train_test_split(
        images / 16, labels, test_size=0.25, random_state=0, stratify=labels
    )
    model = MLPClassifier(
        hidden_layer_sizes=(hidden_units,),
        learning_rate_init=optimizer["learning_rate"],
        momentum=optimizer["momentum"],
        solver="sgd",
        random_state=0,
    )
    for _ in range(epochs):
        model.partial_fit(train_images, train_labels, classes=range(10))
    return float(model.score(val_images, val_labels))
