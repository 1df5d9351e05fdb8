"""What the server tells a replica. It trusts the server, so these are pickled; answers are JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from service.domain.insights import Evaluator, PlotKind
from service.domain.studies import StudySpec
from service.storage.journal import Mutation


@dataclass(frozen=True, slots=True)
class Load:
    """Forget everything, and begin with this study; its trials follow."""

    study_id: int
    spec: StudySpec
    user_attrs: Mapping[str, Any]
    system_attrs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Trials:
    """Some of the trials, those with the lowest numbers first."""

    trials: Sequence[FrozenTrial]


@dataclass(frozen=True, slots=True)
class Accepted:
    """What has happened to the study since."""

    mutations: Sequence[Mutation]


@dataclass(frozen=True, slots=True)
class Begin:
    """An operation begins: forget what an earlier one did on its draft."""


@dataclass(frozen=True, slots=True)
class Drafted:
    """What the operation has done on its draft since."""

    mutations: Sequence[Mutation]


@dataclass(frozen=True, slots=True)
class BeforeTrial:
    """Have the sampler prepare a trial."""

    trial_id: int


@dataclass(frozen=True, slots=True)
class DrawJointly:
    """Infer what of a trial is drawn at once, and draw it."""

    trial_id: int


@dataclass(frozen=True, slots=True)
class DrawOne:
    """Draw one parameter of a trial."""

    trial_id: int
    name: str
    distribution: BaseDistribution


@dataclass(frozen=True, slots=True)
class AfterTrial:
    """Let a user's sampler know that a trial has ended."""

    trial_id: int


@dataclass(frozen=True, slots=True)
class HasEnough:
    """Ask a user's terminator whether the study is over."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Ask a user's pruner about a trial, whose last report was at `step`."""

    trial_id: int
    step: int


@dataclass(frozen=True, slots=True)
class View:
    """What an importance or a plot is about.

    Attributes:
        objective: Index of one of several; None: the only one, or all.
        params: Names; None: all.
    """

    objective: int | None = None
    params: tuple[str, ...] | None = None
    evaluator: Evaluator = Evaluator.PED_ANOVA


@dataclass(frozen=True, slots=True)
class Rate:
    """Rate the parameters by how much they matter."""

    view: View


@dataclass(frozen=True, slots=True)
class Plot:
    """Make a plot."""

    kind: PlotKind
    view: View


Insight = Rate | Plot

OfUsers = AfterTrial | HasEnough | Judge
"""What only the parts that a user wrote are asked."""

Call = BeforeTrial | DrawJointly | DrawOne | Insight | OfUsers
"""What is answered."""

Message = Load | Trials | Accepted | Begin | Drafted | Call
