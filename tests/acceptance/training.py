"""Trainings that are the same as programs of this machine and as tasks of Flyte.

`training.py NAME`: calls that one with the parameters of its trial, and prints what it returns.
"""

import sys

import asktell

TOO_MUCH = 0.7


def train(lr: float, optimizer: str) -> dict[str, float]:
    """Reports, and asks whether it is to go on: a rate of more than `TOO_MUCH` is hopeless."""
    trial = asktell.current_trial()
    loss = lr
    for step in range(3):
        loss = lr + (0.25 if optimizer == "sgd" else 0.0) / (step + 1)
        trial.report(loss, step)
        if trial.should_prune():
            raise asktell.TrialPruned
    return {"loss": loss}


def weigh(lr: float, optimizer: str) -> dict[str, float]:
    """Has two results, and reports nothing."""
    return {"loss": (lr - 0.5) ** 2, "size": 3 if optimizer == "sgd" else 2}


if __name__ == "__main__":
    _params = asktell.current_trial().params
    _values = {"train": train, "weigh": weigh}[sys.argv[1]](_params["lr"], _params["opt"]["name"])
    print(" ".join(f"{name}={value}" for name, value in _values.items()))
