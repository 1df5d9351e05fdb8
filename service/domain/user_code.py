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
        has_terminator: What `OPTIMIZER` returns ends the study, too.
    """

    source: str
    functions: Mapping[Role, str] = field(default_factory=dict)
    has_terminator: bool = False

    @property
    def digest(self) -> str:
        """SHA-256 of the source, hexadecimal."""
        return hashlib.sha256(self.source.encode()).hexdigest()

    @property
    def declares_parameters(self) -> bool:
        """Whether the code says which parameters a trial has."""
        return not self.functions.keys().isdisjoint({Role.OBJECTIVE, Role.SEARCH_SPACE})


USER_SAMPLER = "UserSampler"
USER_PRUNER = "UserPruner"
"""Types of components that only a study's Python can make: classes of the user's, and those of
Optuna's with arguments that JSON cannot say. Their `name` is that of the class."""

SAMPLER_STATE_ATTR = "asktell:sampler-state"
PRUNER_STATE_ATTR = "asktell:pruner-state"
"""Study system attributes: such an object as it is now, pickled, in Base64; null: it cannot be."""

THEIR_PREFIX = "user:"
"""Of the system attributes that users' code sets, as they are stored: so none of them is one that a
sampler of Optuna's would believe, and perhaps unpickle, in the server. The code sees its own
names."""

BEGUN_ATTR = "asktell:begun"
"""Trial system attribute: a user's sampler has prepared the trial."""

TOLD_ATTR = "asktell:told"
"""Study system attribute: the place in the recorded order up to which it knows what has ended."""
