"""Replay: derive every suggestion of a stored study anew, and find the first that differs."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, assert_never

import optuna
from optuna.pruners import NopPruner
from optuna.trial import FrozenTrial, TrialState, create_trial

from service.domain.errors import StudyNotFound
from service.engine.constraints import CONSTRAINTS_ATTR
from service.engine.drawing import (
    FIXED_ATTR,
    DrawnTrial,
    draw_trial,
    start_trial,
    suggest_value,
)
from service.engine.mirror import Mirror
from service.engine.replica.remote_sampler import RemoteSampler
from service.engine.replica.replica import Process
from service.engine.replica.replicas import Rooms, open_rooms
from service.engine.replica.user_sampler import RemoteUserSampler
from service.engine.restoring import directions_of
from service.engine.user_code import CodeRunner
from service.samplers import RELATIVE_ATTR, build_sampler
from service.samplers.imputing import IMPUTED_ATTR
from service.sandbox import FileFailed
from service.search_space import parse_space
from service.storage.adoption import BEFORE_ADOPTION_ATTR
from service.storage.database import Database
from service.storage.driver_errors import unavailable_when_lost
from service.storage.journal import TrialRecord
from service.storage.loader import LoadedStudy
from service.storage.order import Event, EventKind, RecordedStudy, load_recorded_study

# What an adopted trial may get only once it is managed; a sampler's notes begin with its name.
_WRITTEN_LATER = (CONSTRAINTS_ATTR, RELATIVE_ATTR, "tpe:", "gp:")
_ABSENT = object()
# Nobody waits in line for a replay.
_DRAW_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Difference:
    """A stored parameter that the study's sampler would not have given.

    Attributes:
        stored: None as well if the trial does not have the parameter.
        derived: None as well if the record has no place where it was suggested.
    """

    number: int
    name: str
    stored: Any
    derived: Any


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay found.

    Attributes:
        n_trials: Trials asked for here that were derived anew, the different one included.
        n_values: Parameters that the sampler chose for them.
        difference: The first one in the recorded order; None if everything agrees.
    """

    n_trials: int
    n_values: int
    difference: Difference | None


def replay_study(
    database: Database, name: str, *, code_runner: CodeRunner | None = None
) -> Replayed:
    """Derives the suggestions of a study from its seed and its recorded order, one by one.

    It reads what is committed, in one snapshot, and writes nothing. What the sampler did not
    decide is taken as it is stored: how trials ended, and parameters that were fixed, enqueued,
    imported or adopted. Blocks for about as long as sampling has taken in the study's life.

    Args:
        code_runner: For a study whose sampler a user wrote; None: none is run.

    Raises:
        CodeDisabled, CodeUnavailable: Such a sampler cannot be run here.
        StudyNotFound: There is no managed study of that name.
        DatabaseUnavailable: The study cannot be read just now.
    """
    with unavailable_when_lost():
        recorded = load_recorded_study(database, name)
    if recorded is None:
        raise StudyNotFound(f"There is no study {name!r}. Is its name right?")
    runner = code_runner or CodeRunner(None)
    start_code = partial(runner.start_replica, recorded.loaded.spec)
    with open_rooms(1, sampler_timeout_seconds=_DRAW_SECONDS) as rooms:
        return _Replay(recorded, rooms, start_code=start_code).run()


class _Replay:
    def __init__(
        self, recorded: RecordedStudy, rooms: Rooms, *, start_code: Callable[[], Process]
    ) -> None:
        loaded = recorded.loaded
        self._spec = loaded.spec
        self._space = None if loaded.spec.space is None else parse_space(loaded.spec.space)
        self._sampler = build_sampler(self._spec.sampler, seed=self._spec.seed, space=self._space)
        self._replicas = rooms.open_replicas(loaded.study_id, self._spec, start_code=start_code)
        self._ended: list[int] = []
        self._revision = 0
        self._stored = loaded.trials
        self._records = loaded.records
        self._events = recorded.events
        self._suggested = _collect_names(recorded.events)
        self._mirror = _open_mirror(loaded)
        self._n_trials = 0
        self._n_values = 0

    def run(self) -> Replayed:
        self._create_before(_count_adopted(self._records.values()))
        difference = next(filter(None, map(self._repeat, self._events)), None)
        return Replayed(self._n_trials, self._n_values, difference)

    def _repeat(self, event: Event) -> Difference | None:
        match event.kind:
            case EventKind.ENQUEUED:
                self._create_before(event.number + 1)
            case EventKind.IMPORTED:
                self._create_before(event.number)
                self._mirror.create_new_trial(self._mirror.study_id, self._stored[event.number])
            case EventKind.ASKED:
                return self._ask(event.number)
            case EventKind.SUGGESTED:
                return self._suggest(event.number, event.names)
            case EventKind.TOLD:
                self._tell(event.number)
            case _:
                assert_never(event.kind)
        return None

    def _ask(self, number: int) -> Difference | None:
        self._create_before(number)
        stored = self._stored[number]
        is_new = self._mirror.find_trial(number) is None
        fixed = stored.system_attrs.get(FIXED_ATTR, {}) if is_new else {}
        if IMPUTED_ATTR in stored.system_attrs:
            self._report(stored.system_attrs[IMPUTED_ATTR])
        drawn = self._draw(fixed)
        assert drawn.number == number, "enqueued trials are asked for by number, new ones after"
        self._n_trials += 1
        names = dict.fromkeys([*drawn.params, *stored.params])
        late = self._suggested[number]
        return self._compare(number, [name for name in names if name not in late])

    def _draw(self, fixed: Mapping[str, Any]) -> DrawnTrial:
        study = self._open_study()
        if isinstance(study.sampler, RemoteUserSampler):
            try:
                while self._ended:
                    study.sampler.hear_of_end(study, self._ended.pop(0))
            except FileFailed:
                # Its trial failed with it.
                return DrawnTrial(start_trial(study, self._mirror, fixed).number, {})
        return draw_trial(study, self._mirror, space=self._space, fixed=fixed)

    def _report(self, values: Mapping[str, float]) -> None:
        """Lets running trials have reported what they counted with, and nothing else."""
        for trial in self._mirror.get_all_trials(
            self._mirror.study_id, deepcopy=False, states=(TrialState.RUNNING,)
        ):
            self._mirror.restart_trial(trial._trial_id)
            if (value := values.get(str(trial.number))) is not None:
                self._mirror.set_trial_intermediate_value(trial._trial_id, 0, value)

    def _suggest(self, number: int, names: Sequence[str]) -> Difference | None:
        stored = self._stored[number]
        trial = optuna.Trial(self._open_study(), stored._trial_id)
        new = [name for name in names if name not in trial.params]
        for name in new:
            if name not in stored.distributions:
                return Difference(number, name, stored=None, derived=None)
            suggest_value(trial, name, stored.distributions[name])
        return self._compare(number, new)

    def _tell(self, number: int) -> None:
        stored = self._stored[number]
        self._mirror.restart_trial(stored._trial_id)
        for key, value in stored.user_attrs.items():
            self._mirror.set_trial_user_attr(stored._trial_id, key, value)
        for step, value in stored.intermediate_values.items():
            self._mirror.set_trial_intermediate_value(stored._trial_id, step, value)
        if CONSTRAINTS_ATTR in stored.system_attrs:
            constraints = stored.system_attrs[CONSTRAINTS_ATTR]
            self._mirror.set_trial_system_attr(stored._trial_id, CONSTRAINTS_ATTR, constraints)
        values = stored.values if stored.state is TrialState.COMPLETE else None
        self._ended.append(number)
        self._open_study().tell(number, values=values, state=stored.state)

    def _open_study(self) -> optuna.Study:
        # A new one for each event, as in the actor: it may remember trials. Samplers see nothing
        # of the pruner but which trials it ended.
        sampler = self._open_remote() if self._replicas.draws else self._sampler
        return optuna.Study(self._spec.name, self._mirror, sampler=sampler, pruner=NopPruner())

    def _open_remote(self) -> RemoteSampler:
        """Where such samplers always draw: with as many threads, so the same to the bit."""
        accepted, self._mirror.journal = self._mirror.journal, []
        self._revision += 1
        self._replicas.note(self._revision, accepted)
        return self._replicas.open_sampler(self._mirror, self._revision, local=self._sampler)

    def _create_before(self, number: int) -> None:
        """Creates trials with lower numbers that have not come up, as they were at first."""
        for trial in self._stored[self._mirror.counts.total : number]:
            template = self._build_first(trial, self._records[trial.number])
            self._mirror.create_new_trial(self._mirror.study_id, template)

    def _build_first(self, trial: FrozenTrial, record: TrialRecord) -> FrozenTrial:
        if record.enqueue_seq is not None or record.ask_seq is not None:
            return _build_enqueued(trial)
        if record.tell_seq is not None or trial.state is TrialState.RUNNING:
            return _build_running(trial, without=self._suggested[trial.number])
        return trial

    def _compare(self, number: int, names: Iterable[str]) -> Difference | None:
        trial = self._stored[number]
        stored, derived = trial.params, self._mirror.get_trial(trial._trial_id).params
        fixed = trial.system_attrs.get(FIXED_ATTR, ())
        for name in names:
            if stored.get(name, _ABSENT) != derived.get(name, _ABSENT):
                return Difference(number, name, stored.get(name), derived.get(name))
            self._n_values += name in derived and name not in fixed
        return None


def _collect_names(events: Iterable[Event]) -> defaultdict[int, set[str]]:
    names: defaultdict[int, set[str]] = defaultdict(set)
    for event in events:
        names[event.number].update(event.names)
    return names


def _open_mirror(loaded: LoadedStudy) -> Mirror:
    # The stored ids, because NSGA keeps ids among its own values.
    trial_ids = iter([trial._trial_id for trial in loaded.trials])
    return Mirror.of(
        study_id=loaded.study_id,
        name=loaded.spec.name,
        directions=directions_of(loaded.spec),
        user_attrs=loaded.spec.user_attrs,
        system_attrs=loaded.system_attrs.get(BEFORE_ADOPTION_ATTR, {}),
        trials=[],
        new_trial_id=partial(next, trial_ids),
    )


def _count_adopted(records: Iterable[TrialRecord]) -> int:
    """How many trials were there before the study was managed: the first ones."""
    adopted = (r.number for r in records if r.ask_seq is None and r.enqueue_seq is None)
    return max(adopted, default=-1) + 1


def _build_enqueued(trial: FrozenTrial) -> FrozenTrial:
    fixed = trial.system_attrs.get(FIXED_ATTR, {})
    return create_trial(state=TrialState.WAITING, system_attrs={FIXED_ATTR: fixed})


def _build_running(trial: FrozenTrial, *, without: set[str]) -> FrozenTrial:
    """What an adopted trial had of its own before it was told."""
    names = [name for name in trial.params if name not in without]
    return create_trial(
        state=TrialState.RUNNING,
        params={name: trial.params[name] for name in names},
        distributions={name: trial.distributions[name] for name in names},
        system_attrs={k: v for k, v in trial.system_attrs.items() if not _is_written_later(k)},
    )


def _is_written_later(key: str) -> bool:
    return key.startswith(_WRITTEN_LATER)
