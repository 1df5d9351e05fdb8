"""A user file, and what a call of it gives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service.domain.studies import Component


@dataclass(frozen=True, slots=True)
class UserFile:
    """Python source text that defines a search space, a sampler, a pruner or a study.

    Without names the file is one of W&B's launch scheduler: any of `objective(trial)`,
    `sampler()`, `pruner()` and `study()`. With `search_space` or `optimizer` it is a `source` of
    `wandb sweep-scheduler`, and only the functions of these names count.

    Attributes:
        source: The text. It may use `optuna` without importing it.
        name: What problems call it, such as `optuna_wandb.py`.
        search_space: Name of a function that takes a trial and returns a mapping of values.
        optimizer: Name of a function that takes a sweep and returns a Study or a
            (Study, terminator) pair.
        objective, sampler, pruner, study: Other names of the functions of the first form. One
            that differs from the default has to exist.
    """

    source: str
    name: str = "search space"
    search_space: str | None = None
    optimizer: str | None = None
    objective: str = "objective"
    sampler: str = "sampler"
    pruner: str = "pruner"
    study: str = "study"


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """What a search space can ask about its study, as `trial.study`.

    Attributes:
        directions: `minimize` or `maximize`, one for each objective.
    """

    name: str = "study"
    directions: tuple[str, ...] = ("minimize",)
    metric_names: tuple[str, ...] = ()
    user_attrs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SweepFacts:
    """What `optimizer(sweep)` is told; the attributes are those of W&B's `SweepInfo`.

    Attributes:
        config: The sweep file's content, as JSON has it.
    """

    id: str = ""
    name: str = ""
    entity: str = ""
    project: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    controller_run_name: str = ""


@dataclass(frozen=True, slots=True)
class SearchSpaceRun:
    """What one run of a search space gave.

    Attributes:
        params: The suggested values by name, as the caller's `suggest` returned them.
        config: What a named search space returned: the values that the run gets. None for
            `objective`, whose return value says nothing.
        user_attrs: Set by `trial.set_user_attr`.
        constraints: Set by `trial.set_constraint`.
        output: The end of what was printed.
    """

    params: Mapping[str, Any]
    config: Mapping[str, Any] | None = None
    user_attrs: Mapping[str, Any] = field(default_factory=dict)
    constraints: Mapping[str, float] = field(default_factory=dict)
    output: str = ""


@dataclass(frozen=True, slots=True)
class CustomPart:
    """A sampler or pruner that no document can say; it only exists as the user's code.

    Attributes:
        type: Its class, such as `RandomWalk`.
        reason: A sentence that says why it is not one of Optuna's with plain arguments.
    """

    type: str
    reason: str


@dataclass(frozen=True, slots=True)
class WaitingTrial:
    """A trial that a study has enqueued: its fixed values, and its attributes."""

    params: Mapping[str, Any]
    user_attrs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Description:
    """What a user file defines.

    Attributes:
        functions: Names of the functions that count, in the order objective (or search space),
            sampler, pruner, study (or optimizer).
        has_search_space: There is an `objective`, or the named search space.
        sampler, pruner: From `sampler()` and `pruner()`, or of the study that `study()` or the
            optimizer returns, which come first. None if the file defines neither. Classes and
            arguments are Optuna's; nobody has checked yet whether the service takes them.
        directions: Of the study; None without one.
        metric_names: Of the study; empty if it has none.
        user_attrs: Of the study.
        enqueued: The trials that the study has waiting, in their order.
        has_terminator: The optimizer returned a terminator.
        notes: Sentences about what the file says and nobody follows.
        output: The end of what was printed.
    """

    functions: tuple[str, ...] = ()
    has_search_space: bool = False
    sampler: Component | CustomPart | None = None
    pruner: Component | CustomPart | None = None
    directions: tuple[str, ...] | None = None
    metric_names: tuple[str, ...] = ()
    user_attrs: Mapping[str, Any] = field(default_factory=dict)
    enqueued: tuple[WaitingTrial, ...] = ()
    has_terminator: bool = False
    notes: tuple[str, ...] = ()
    output: str = ""
