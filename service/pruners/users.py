"""A stand-in for pruners that users wrote."""

from typing import Any, NoReturn

from optuna.pruners import BasePruner


class UserPruner(BasePruner):
    """Stands for a class of a user's, which runs beside the server and nowhere else."""

    def __init__(self, *, name: str) -> None:
        self.name = name

    def prune(self, *_: Any) -> NoReturn:
        raise RuntimeError(f"The user's pruner {self.name} judges beside the server, not here.")
