"""What a replica does with each message."""

import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import optuna
from optuna.distributions import distribution_to_json
from optuna.pruners import NopPruner
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from service.domain.errors import InvalidParams
from service.engine.mirror import Mirror
from service.engine.replica.messages import (
    Accepted,
    BeforeTrial,
    Begin,
    Call,
    Drafted,
    DrawJointly,
    DrawOne,
    Insight,
    Load,
    Message,
    Plot,
    Rate,
    Trials,
)
from service.engine.restoring import directions_of
from service.samplers import build_sampler
from service.search_space import parse_space
from service.storage.journal import AttrKind, Mutation, StudyAttrSet, TrialAttrSet, TrialCreated

Answer = dict[str, Any]
"""`value`, or `error`, `message` and `traceback`; and `writes`: attributes that were set."""


class Served:
    """A study and, while an operation is under way, its draft.

    Args:
        open_study: Makes a study that has no trials yet.
    """

    def __init__(self, open_study: "Callable[[Load], ReplicatedStudy] | None" = None) -> None:
        self._open_study = open_study or _open_stock_study
        self._study: ReplicatedStudy | None = None

    def take(self, message: Message) -> Answer | None:
        """Does what a message wants; returns the answer to a call, None to what is none."""
        if isinstance(message, Load):
            self._study = self._open_study(message)
            return None
        assert self._study is not None, "a study is loaded before anything else"
        match message:
            case Trials(trials):
                self._study.add(trials)
            case Accepted(mutations):
                self._study.accept(mutations)
            case Begin():
                self._study.begin()
            case Drafted(mutations):
                self._study.go_on(mutations)
            case _:
                return self._study.answer(message)
        return None


class ReplicatedStudy:
    """A copy of a study, and what is asked of it.

    Attributes:
        draft: What the present operation has made of it.
    """

    def __init__(self, load: Load, sampler: BaseSampler) -> None:
        self.spec = load.spec
        self._mirror = Mirror.of(
            study_id=load.study_id,
            name=load.spec.name,
            directions=directions_of(load.spec),
            user_attrs=load.user_attrs,
            system_attrs=load.system_attrs,
            trials=(),
            new_trial_id=_refuse_new_trial,
        )
        self._sampler = sampler
        self.begin()

    def add(self, trials: Sequence[FrozenTrial]) -> None:
        self._mirror.replay([TrialCreated(trial) for trial in trials])

    def accept(self, mutations: Sequence[Mutation]) -> None:
        self._mirror.replay(mutations)

    def go_on(self, mutations: Sequence[Mutation]) -> None:
        self.draft.replay(mutations)

    def begin(self) -> None:
        self.draft = self._mirror.fork()
        self._opened: tuple[int, optuna.Study] | None = None

    def answer(self, call: Call) -> Answer:
        written = len(self.draft.journal)
        try:
            answer = {"value": self._do(call)}
        except Exception as error:
            answer = _describe_error(error)
        return {**answer, "writes": describe_writes(self.draft.journal[written:])}

    def _do(self, call: Call) -> Any:
        match call:
            case BeforeTrial(trial_id):
                trial = self.draft.get_trial(trial_id)
                return self._sampler.before_trial(self._open(trial_id), trial)
            case DrawJointly(trial_id):
                return self._draw_jointly(self._open(trial_id), self.draft.get_trial(trial_id))
            case DrawOne(trial_id, name, distribution):
                trial = self.draft.get_trial(trial_id)
                study = self._open(trial_id)
                return self._sampler.sample_independent(study, trial, name, distribution)
            case Rate() | Plot():
                return self._compute_insight(call)
        raise TypeError(f"{call} is for the parts that a user wrote.")

    def _compute_insight(self, call: Insight) -> Any:
        # Most replicas only draw, and this imports plotly and scikit-learn.
        from service.engine.replica.figures import draw_plot, rate_params

        if isinstance(call, Rate):
            return rate_params(self._open(None), self.spec, call.view)
        return draw_plot(self._open(None), self.spec, call.kind, call.view)

    def _draw_jointly(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
        space = self._sampler.infer_relative_search_space(study, trial)
        return {
            "space": {name: distribution_to_json(found) for name, found in space.items()},
            "params": self._sampler.sample_relative(study, trial, space),
        }

    def _open(self, trial_id: int | None) -> optuna.Study:
        """A study of its own for each trial, as in an ask: it remembers the trials it has found."""
        opened_for, study = self._opened or (None, None)
        if study is None or opened_for != trial_id:
            # Samplers see nothing of the pruner but which trials it ended.
            study = optuna.Study(
                self.spec.name, self.draft, sampler=self._sampler, pruner=NopPruner()
            )
            self._opened = None if trial_id is None else (trial_id, study)
        return study


def describe_writes(journal: Sequence[Mutation]) -> list[dict[str, Any]]:
    """Returns the attributes that were set, as JSON.

    Raises:
        TypeError: Something else was done.
    """
    return [_describe_write(mutation) for mutation in journal]


def _open_stock_study(load: Load) -> ReplicatedStudy:
    spec = load.spec
    space = None if spec.space is None else parse_space(spec.space)
    return ReplicatedStudy(load, build_sampler(spec.sampler, seed=spec.seed, space=space))


def _refuse_new_trial() -> NoReturn:
    raise RuntimeError("A sampler tried to create a trial; it may only suggest parameters.")


def _describe_write(mutation: Mutation) -> dict[str, Any]:
    match mutation:
        case TrialAttrSet(trial_id, kind, key, value):
            return _describe_attr(trial_id, kind, key, value)
        case StudyAttrSet(kind, key, value):
            return _describe_attr(None, kind, key, value)
    raise TypeError(f"A sampler may set attributes only, not do {mutation}.")


def _describe_attr(trial_id: int | None, kind: AttrKind, key: str, value: Any) -> dict[str, Any]:
    return {"trial_id": trial_id, "kind": kind, "key": key, "value": value}


def _describe_error(error: Exception) -> Answer:
    if isinstance(error, InvalidParams):
        kind, message = "invalid-params", error.message
    elif isinstance(error, ValueError):
        kind, message = "value", str(error)
    elif isinstance(error, ImportError):
        kind, message = "import", str(error)
    else:
        kind, message = "defect", f"{type(error).__name__}: {error}"
    return {"error": kind, "message": message, "traceback": traceback.format_exc()}
