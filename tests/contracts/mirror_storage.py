"""Mirrors of single studies, put together to whole Optuna storages.

The service keeps one mirror per actor; Optuna's suites want a storage of many studies.
"""

import itertools
import threading
import uuid
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.exceptions import DuplicatedStudyError
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from service.domain.studies import Component, Direction, Objective, StudySpec
from service.engine.mirror import Mirror
from service.storage.database import Database
from service.storage.loader import LoadedStudy, load_study
from service.storage.studies import METRIC_NAMES_ATTR
from tests.contracts.sync_writer import SyncWriter, build_write

DIRECTIONS = {
    StudyDirection.MINIMIZE: Direction.MINIMIZE,
    StudyDirection.MAXIMIZE: Direction.MAXIMIZE,
}
_OPTUNA_DIRECTIONS = {ours: optunas for optunas, ours in DIRECTIONS.items()}

_DELETE_SYSTEM_ATTR = """
DELETE FROM study_system_attributes WHERE study_id = %s AND key = %s RETURNING key
"""


def build_spec(name: str, directions: Sequence[StudyDirection]) -> StudySpec:
    """The least a managed study needs to be."""
    return StudySpec(
        name=name,
        objectives=tuple(
            Objective(f"objective {index}", DIRECTIONS[direction])
            for index, direction in enumerate(directions)
        ),
        space=None,
        sampler=Component("RandomSampler"),
        pruner=None,
        seed=0,
    )


def build_mirror(loaded: LoadedStudy, writer: SyncWriter) -> Mirror:
    """The mirror that an actor of this study starts with."""
    return Mirror.of(
        study_id=loaded.study_id,
        name=loaded.spec.name,
        directions=[_OPTUNA_DIRECTIONS[each.direction] for each in loaded.spec.objectives],
        user_attrs=loaded.user_attrs,
        system_attrs=loaded.system_attrs,
        trials=loaded.trials,
        new_trial_id=writer.next_trial_id,
    )


class MirrorStorage(BaseStorage):
    """Many studies in memory only. One lock makes it thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._study_ids: dict[str, int] = {}
        self._studies_of_trials: dict[int, int] = {}
        self._mirrors: dict[int, Mirror] = {}
        self._ids = itertools.count(1)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vars(self).update(state)
        self._lock = threading.RLock()

    # What a subclass does elsewhere than in memory

    def _insert_study(self, name: str, directions: Sequence[StudyDirection]) -> int:
        """Raises DuplicatedStudyError if the name is taken."""
        if name in self._study_ids:
            raise DuplicatedStudyError(name)
        study_id = next(self._ids)
        self._mirrors[study_id] = Mirror(
            study_id=study_id,
            name=name,
            directions=directions,
            new_trial_id=self._ids.__next__,
        )
        return study_id

    def _remove_study(self, study_id: int) -> None:
        del self._mirrors[study_id]

    def _mirror_to_read(self, study_id: int) -> Mirror:
        """Raises KeyError if there is no such study."""
        return self._mirrors[study_id]

    def _mirror_to_write(self, study_id: int) -> Mirror:
        """Raises KeyError if there is no such study."""
        return self._mirrors[study_id]

    def _keep(self, mirror: Mirror) -> None:
        mirror.journal.clear()

    # Optuna's BaseStorage: studies

    def create_new_study(
        self, directions: Sequence[StudyDirection], study_name: str | None = None
    ) -> int:
        name = f"no-name-{uuid.uuid4()}" if study_name is None else study_name
        with self._lock:
            study_id = self._insert_study(name, directions)
            self._study_ids[name] = study_id
            return study_id

    def delete_study(self, study_id: int) -> None:
        with self._reading(study_id) as mirror:
            self._remove_study(study_id)
            del self._study_ids[mirror.name]
            for trial in mirror.get_all_trials(study_id, deepcopy=False):
                del self._studies_of_trials[trial._trial_id]

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        with self._writing(study_id) as mirror:
            mirror.set_study_user_attr(study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        with self._writing(study_id) as mirror:
            mirror.set_study_system_attr(study_id, key, value)

    def get_study_id_from_name(self, study_name: str) -> int:
        with self._lock:
            return self._study_ids[study_name]

    def get_study_name_from_id(self, study_id: int) -> str:
        with self._reading(study_id) as mirror:
            return mirror.get_study_name_from_id(study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        with self._reading(study_id) as mirror:
            return mirror.get_study_directions(study_id)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        with self._reading(study_id) as mirror:
            return mirror.get_study_user_attrs(study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        with self._reading(study_id) as mirror:
            return mirror.get_study_system_attrs(study_id)

    def get_all_studies(self) -> list[FrozenStudy]:
        with self._lock:
            mirrors = [self._mirror_to_read(study_id) for study_id in self._study_ids.values()]
            return [study for mirror in mirrors for study in mirror.get_all_studies()]

    # Optuna's BaseStorage: trials

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        with self._writing(study_id) as mirror:
            trial_id = mirror.create_new_trial(study_id, template_trial)
            self._studies_of_trials[trial_id] = study_id
            return trial_id

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        with self._writing_trial(trial_id) as mirror:
            mirror.set_trial_param(trial_id, param_name, param_value_internal, distribution)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        with self._writing_trial(trial_id) as mirror:
            return mirror.set_trial_state_values(trial_id, state, values)

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        with self._writing_trial(trial_id) as mirror:
            mirror.set_trial_intermediate_value(trial_id, step, intermediate_value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        with self._writing_trial(trial_id) as mirror:
            mirror.set_trial_user_attr(trial_id, key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        with self._writing_trial(trial_id) as mirror:
            mirror.set_trial_system_attr(trial_id, key, value)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        with self._reading_trial(trial_id) as mirror:
            return mirror.get_trial(trial_id)

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        with self._reading(study_id) as mirror:
            return mirror.get_all_trials(study_id, deepcopy, states)

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        with self._reading(study_id) as mirror:
            return mirror.get_trial_id_from_study_id_trial_number(study_id, trial_number)

    def get_trial_number_from_id(self, trial_id: int) -> int:
        with self._reading_trial(trial_id) as mirror:
            return mirror.get_trial_number_from_id(trial_id)

    def get_trial_param(self, trial_id: int, param_name: str) -> float:
        with self._reading_trial(trial_id) as mirror:
            return mirror.get_trial_param(trial_id, param_name)

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        with self._reading(study_id) as mirror:
            return mirror.get_best_trial(study_id)

    # Finding the mirror

    @contextmanager
    def _reading(self, study_id: int) -> Iterator[Mirror]:
        with self._lock:
            yield self._mirror_to_read(study_id)

    @contextmanager
    def _writing(self, study_id: int) -> Iterator[Mirror]:
        with self._lock:
            mirror = self._mirror_to_write(study_id)
            yield mirror
            self._keep(mirror)

    @contextmanager
    def _reading_trial(self, trial_id: int) -> Iterator[Mirror]:
        with self._lock, self._reading(self._studies_of_trials[trial_id]) as mirror:
            yield mirror

    @contextmanager
    def _writing_trial(self, trial_id: int) -> Iterator[Mirror]:
        with self._lock, self._writing(self._studies_of_trials[trial_id]) as mirror:
            yield mirror


class FlushingStorage(MirrorStorage):
    """Many studies in Postgres, through the service's own writer and loader.

    Every change is committed at once. A read after a change never sees the mirror that was
    changed but a new one, built from what is stored.
    """

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database
        self._writer = SyncWriter(database)
        self._revisions: dict[int, int] = {}
        self._stale: set[int] = set()

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        del state["_writer"]
        return {**state, "_mirrors": {}, "_stale": set()}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        super().__setstate__(state)
        self._writer = SyncWriter(self._database)

    def close(self) -> None:
        self._writer.close()

    def _insert_study(self, name: str, directions: Sequence[StudyDirection]) -> int:
        study_id = self._writer.insert_study(build_spec(name, directions))
        if study_id is None:
            raise DuplicatedStudyError(name)
        # Optuna's suites expect a new study to have no attributes at all.
        assert self._writer.fetch(_DELETE_SYSTEM_ATTR, (study_id, METRIC_NAMES_ATTR))
        self._revisions[study_id] = 0
        return study_id

    def _remove_study(self, study_id: int) -> None:
        self._writer.delete_study(study_id)
        del self._revisions[study_id]
        del self._mirrors[study_id]

    def _mirror_to_read(self, study_id: int) -> Mirror:
        if study_id in self._stale:
            del self._mirrors[study_id]
            self._stale.remove(study_id)
        return self._mirror_to_write(study_id)

    def _mirror_to_write(self, study_id: int) -> Mirror:
        if study_id not in self._mirrors:
            self._mirrors[study_id] = self._load(study_id)
        return self._mirrors[study_id]

    def _keep(self, mirror: Mirror) -> None:
        mutations, mirror.journal = mirror.journal, []
        if not mutations:
            return
        self._stale.add(mirror.study_id)
        revision = self._revisions[mirror.study_id]
        self._writer.write([build_write(mirror, mutations, revision)])
        self._revisions[mirror.study_id] += 1

    def _load(self, study_id: int) -> Mirror:
        loaded = load_study(self._database, study_id)
        if loaded is None:
            raise KeyError(study_id)
        assert loaded.revision == loaded.last_seq == self._revisions[study_id]
        return build_mirror(loaded, self._writer)
