"""A stand-in for samplers that users wrote."""

from typing import Any, NoReturn

from optuna.samplers import BaseSampler


class UserSampler(BaseSampler):
    """Stands for a class of a user's, which runs beside the server and nowhere else.

    There is never an object of it; the methods are there because Optuna's base class wants them.
    """

    def __init__(self) -> None:
        raise RuntimeError("A user's sampler is made by the user's code, not here.")

    def infer_relative_search_space(self, *_: Any) -> NoReturn:
        raise NotImplementedError

    def sample_relative(self, *_: Any) -> NoReturn:
        raise NotImplementedError

    def sample_independent(self, *_: Any) -> NoReturn:
        raise NotImplementedError
