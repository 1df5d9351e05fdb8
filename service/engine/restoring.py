"""Restore: what an actor begins with, from what was stored. Takes as long as the study is large."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from optuna.study import StudyDirection

from service.domain.studies import StudySpec
from service.engine.mirror import Mirror
from service.engine.scores import find_score
from service.engine.tally import Tally, ends_in_order, is_started
from service.storage.loader import LoadedStudy


@dataclass(frozen=True, slots=True)
class RestoredStudy:
    """A study as of its last commit, ready to go on."""

    loaded: LoadedStudy
    mirror: Mirror
    tally: Tally


def restore_study(
    loaded: LoadedStudy, *, new_trial_id: Callable[[], int], clock: Callable[[], datetime]
) -> RestoredStudy:
    """Builds the mirror of a stored study and counts anew what its budget counts. Any thread."""
    mirror = Mirror.of(
        study_id=loaded.study_id,
        name=loaded.spec.name,
        directions=directions_of(loaded.spec),
        user_attrs=loaded.user_attrs,
        system_attrs=loaded.system_attrs,
        trials=loaded.trials,
        new_trial_id=new_trial_id,
        now=lambda: clock().astimezone().replace(tzinfo=None),
    )
    return RestoredStudy(loaded, mirror, _count(loaded, mirror))


def directions_of(spec: StudySpec) -> list[StudyDirection]:
    """Returns the directions of a study's objectives, as Optuna has them."""
    return [StudyDirection[objective.direction.name] for objective in spec.objectives]


def _count(loaded: LoadedStudy, mirror: Mirror) -> Tally:
    """Counts what was stored, to the same as if each change had just happened."""
    tally = Tally()
    started = [record for record in loaded.records.values() if is_started(record)]
    for record in sorted(started, key=lambda record: record.ask_seq or 0):
        began = loaded.trials[record.number].datetime_start
        assert began is not None, "a trial that was asked for has begun"
        tally.count_start(began.astimezone())
    for record in ends_in_order(loaded.records.values()):
        trial = loaded.trials[record.number]
        tally.count_end_of(record, trial, find_score(trial, mirror.directions))
    return tally
