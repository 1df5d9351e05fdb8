"""What tests of replicas start from: a study on a mirror, drawn for here or in a replica."""

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

import optuna
from optuna.pruners import NopPruner
from optuna.trial import FrozenTrial, TrialState

from service.domain.studies import Component, Direction, Objective, StudySpec
from service.engine.drawing import draw_trial
from service.engine.mirror import Mirror
from service.engine.replica.remote_sampler import RemoteSampler
from service.engine.replica.replica import Moment, Replica
from service.engine.restoring import directions_of
from service.samplers import build_sampler, resolve_sampler
from service.search_space import parse_space

SPACE = {
    "c": {"type": "categorical", "choices": ["a", "b"]},
    "n": {"type": "int", "low": 1, "high": 4},
    "x": {"type": "float", "low": 0.0, "high": 1.0},
    "y": {"type": "float", "low": 1e-3, "high": 1.0, "log": True},
}
CONDITIONAL = {**SPACE, "z": {"type": "int", "low": 0, "high": 9, "when": {"c": ["a"]}}}


def build_spec(sampler: Component, space: Mapping[str, Any], *, n_objectives: int = 1) -> StudySpec:
    parsed = parse_space(space)
    return StudySpec(
        name="s",
        objectives=tuple(
            Objective(f"value {index}", Direction.MINIMIZE) for index in range(n_objectives)
        ),
        space=space,
        sampler=resolve_sampler(sampler, space=parsed, n_objectives=n_objectives),
        pruner=None,
        seed=7,
    )


class SmallStudy:
    """A study without an engine; with a replica that one draws.

    Attributes:
        replica: What draws; None: it is drawn for here.
        revision: Counts what it has accepted.
    """

    def __init__(self, spec: StudySpec, replica: Replica | None = None) -> None:
        assert spec.space is not None
        self.space = parse_space(spec.space)
        self.local = build_sampler(spec.sampler, seed=spec.seed, space=self.space)
        self.revision = 0
        self._spec = spec
        self.replica = replica
        self.mirror = Mirror(
            study_id=1,
            name=spec.name,
            directions=directions_of(spec),
            new_trial_id=count(1).__next__,
        )

    def ask(self, *, fixed: Mapping[str, Any] | None = None) -> int:
        draft = self._fork()
        sampler = self.local if self.replica is None else self._open_remote(self.replica)
        study = optuna.Study(self._spec.name, draft, sampler=sampler, pruner=NopPruner())
        drawn = draw_trial(study, draft, space=self.space, fixed=fixed or {})
        self._accept(draft)
        return drawn.number

    def report(self, number: int, step: int, value: float) -> None:
        draft = self._fork()
        trial_id = self.get_trial(number)._trial_id
        draft.set_trial_intermediate_value(trial_id, step, value)
        self._accept(draft)

    def tell(self, number: int, state: TrialState = TrialState.COMPLETE) -> None:
        draft = self._fork()
        study = optuna.Study(self._spec.name, draft, sampler=self.local, pruner=NopPruner())
        values = [objective(self.get_trial(number))] * len(self._spec.objectives)
        study.tell(number, values if state is TrialState.COMPLETE else None, state=state)
        self._accept(draft)

    def get_trial(self, number: int) -> FrozenTrial:
        trial = self.mirror.find_trial(number)
        assert trial is not None
        return trial

    def list_told(self) -> Iterator[tuple[Any, ...]]:
        """Everything about the trials that depends on neither time nor process."""
        for trial in self.mirror.get_all_trials(1, deepcopy=False):
            # Equal objects have different pickles, depending on which of their parts are the same.
            attrs = {k: v for k, v in trial.system_attrs.items() if not k.startswith("cma:opt")}
            yield trial.params, trial.distributions, attrs, trial.values, trial.state

    def live(self, n_trials: int) -> None:
        """Several trials at a time; some are reported to, pruned, failed or partly fixed."""
        running: list[int] = []
        for number in range(n_trials):
            running.append(self.ask(fixed={"n": 2} if number % 5 == 3 else None))
            for other in running:
                self.report(other, number, 1.0 / (number + 1))
            if len(running) > 2:
                ended = running.pop(number % 3)
                state = {6: TrialState.PRUNED, 9: TrialState.FAIL}.get(number)
                self.tell(ended, state or TrialState.COMPLETE)

    def _open_remote(self, replica: Replica) -> RemoteSampler:
        replica.feed.open(self.revision)
        return RemoteSampler(replica, Moment(self.mirror.fork(), self.revision), local=self.local)

    def _fork(self) -> Mirror:
        return self.mirror.fork()

    def _accept(self, draft: Mirror) -> None:
        self.mirror.replay(draft.journal)
        self.revision += 1
        if self.replica is not None:
            self.replica.feed.note(self.revision, draft.journal)


def objective(trial: FrozenTrial) -> float:
    params = trial.params
    return float((params["n"] - 2) ** 2 + abs(params["x"] - 0.5) + (params["c"] == "a") * 0.3)
