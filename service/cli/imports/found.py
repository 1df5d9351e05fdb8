"""What was found elsewhere, as the API takes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ORIGIN_ATTR = "asktell:imported_from"
"""User attribute of an imported trial: which one it is where it comes from."""


@dataclass(frozen=True, slots=True)
class Target:
    """The study that trials are to go to.

    Attributes:
        objectives: Directions, `minimize` or `maximize`, by name.
        space: As declared; None: each trial brings the distributions of its parameters, or the
            study's Python has them.
        origins: Of the trials that were imported before.
        constraints: Names that the constraints of its trials have; None: no trial has any yet.
        is_new: It has to be created.
    """

    name: str
    objectives: Mapping[str, str]
    space: Mapping[str, Any] | None = None
    origins: frozenset[str] = frozenset()
    constraints: frozenset[str] | None = None
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class FoundTrial:
    """A trial that has ended.

    Attributes:
        name: Where it comes from: a number, or the id of a run.
        document: As the API takes it, `ORIGIN_ATTR` among its user attributes.
    """

    name: str
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """What a source has for a study.

    Attributes:
        source: What people call it.
        target: The study, or what is to become it.
        trials: In the source's order, without those that were imported before.
        n_known: How many of those there are.
        left_out: How many trials are not to be imported, by their state there.
        notes: What else people should know.
    """

    source: str
    target: Target
    trials: Sequence[FoundTrial]
    n_known: int
    left_out: Mapping[str, int]
    notes: Sequence[str] = ()
