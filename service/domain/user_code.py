"""Python that a user has written to say what a study searches, and how."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Role(StrEnum):
    """What a function of a user's is for.

    `OBJECTIVE` and `SEARCH_SPACE` declare the parameters of a trial, which they get; what an
    objective returns does not count. `SAMPLER` and `PRUNER` return one of Optuna's, `STUDY` and
    `OPTIMIZER` a whole study. W&B's Optuna scheduler knows `SEARCH_SPACE` and `OPTIMIZER` by names
    that the sweep gives, the others by these words.
    """

    OBJECTIVE = "objective"
    SEARCH_SPACE = "search_space"
    OPTIMIZER = "optimizer"
    SAMPLER = "sampler"
    PRUNER = "pruner"
    STUDY = "study"


@dataclass(frozen=True, slots=True)
class UserCode:
    """Source text of a user's.

    Attributes:
        functions: The names of those in it that count, by what they are for. Of a new study those
            that its client names, of a stored one all that are used.
    """

    source: str
    functions: Mapping[Role, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 of the source, hexadecimal."""
        return hashlib.sha256(self.source.encode()).hexdigest()

    @property
    def declares_parameters(self) -> bool:
        """Whether the code says which parameters a trial has."""
        return not self.functions.keys().isdisjoint({Role.OBJECTIVE, Role.SEARCH_SPACE})
