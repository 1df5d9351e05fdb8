"""One managed study, live: what was committed plus what is on its way.

Operations on a study happen one after another because they run on one event loop: an operation
works on a draft, and accepting the draft is a single step without an await. Only sampling may
take long; it runs on a draft of its own while reports and tells go on, one at a time per study.
"""

import asyncio
from dataclasses import dataclass, field

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from service.domain.errors import StudyFinished, TrialNotFound, TrialNotRunning
from service.domain.studies import Component, Direction, StudyState
from service.engine.committer import Committer, Ownership
from service.engine.mirror import Mirror
from service.engine.replies import Replies
from service.engine.sampling import Sampling
from service.engine.trial_ids import TrialIds
from service.pruners import build_pruner
from service.samplers import EXHAUSTED_ATTR, build_sampler
from service.search_space import parse_space
from service.storage.journal import StoredReply, StudyProgress, StudyWrite, TrialRecord
from service.storage.loader import LoadedStudy

PRUNER_ATTR = "asktell:pruner"
"""Study system attribute: the pruner with its "auto" resources resolved, once they are."""

_DIRECTIONS = {
    Direction.MINIMIZE: StudyDirection.MINIMIZE,
    Direction.MAXIMIZE: StudyDirection.MAXIMIZE,
}


@dataclass(slots=True)
class Draft:
    """One operation's view of its study: reads see the study, writes stay here until accepted.

    Attributes:
        study: Stock Optuna on the draft's mirror.
        records: Changed trial records, by trial number.
    """

    mirror: Mirror
    study: optuna.Study
    records: dict[int, TrialRecord] = field(default_factory=dict)
    replies: list[StoredReply] = field(default_factory=list)


class Actor:
    """The one place where a study changes. Belongs to the event loop.

    Attributes:
        drawing: Held while trials are created or parameters suggested.
        sampling: Where that runs.
        sampler: Draws by seed, trial and purpose; one draw of the study at a time.
    """

    def __init__(
        self,
        loaded: LoadedStudy,
        *,
        ownership: Ownership,
        committer: Committer,
        trial_ids: TrialIds,
        sampling: Sampling,
    ) -> None:
        self.study_id = loaded.study_id
        self.spec = loaded.spec
        self.space = None if loaded.spec.space is None else parse_space(loaded.spec.space)
        self.drawing = asyncio.Lock()
        self.sampling = sampling
        self.replies = Replies(loaded.replies)
        self.ownership = ownership
        self._committer = committer
        self._trial_ids = trial_ids
        self._revision = loaded.revision
        self._last_seq = loaded.last_seq
        self._records = loaded.records
        self._mirror = _build_mirror(loaded, trial_ids)
        self.sampler = build_sampler(self.spec.sampler, seed=self.spec.seed, space=self.space)
        self._pruner_component = self.pruner_component
        self._pruner = build_pruner(self._pruner_component)

    # What the use cases read

    @property
    def is_multi_objective(self) -> bool:
        return len(self.spec.objectives) > 1

    @property
    def state(self) -> StudyState:
        exhausted = self._mirror.system_attrs.get(EXHAUSTED_ATTR)
        return StudyState.FINISHED if exhausted else StudyState.ACTIVE

    @property
    def pruner_component(self) -> Component | None:
        """The pruner as it decides now, with "auto" resources resolved as far as they are."""
        resolved = self._mirror.system_attrs.get(PRUNER_ATTR)
        return Component(**resolved) if resolved else self.spec.pruner

    def get_trial(self, number: int) -> FrozenTrial:
        """Returns the trial with what is on its way to the database; never change it.

        Raises:
            TrialNotFound: The study has no such trial.
        """
        trial = self._mirror.find_trial(number)
        if trial is None:
            raise TrialNotFound(
                f"Study {self.spec.name!r} has no trial {number}. Ask for one first."
            )
        return trial

    def get_record(self, number: int) -> TrialRecord:
        """Returns our record of an existing trial."""
        return self._records[number]

    def check_accepts_asks(self) -> None:
        """Raises StudyFinished when the study hands out no more trials."""
        if self.state is StudyState.FINISHED:
            raise StudyFinished(
                f"Study {self.spec.name!r} is finished: its sampler has tried everything there is. "
                "Create a new study to go on."
            )

    # What the use cases do

    async def reserve_trials(self, count: int) -> None:
        """Makes sure that a draft can create `count` trials."""
        await self._trial_ids.reserve(count)

    def draw_seqs(self, count: int) -> range:
        """Returns the next positions in the study's recorded order."""
        first = self._last_seq + 1
        self._last_seq += count
        return range(first, first + count)

    def begin(self) -> Draft:
        """Starts an operation; dropping the draft undoes everything in it."""
        mirror = self._mirror.fork()
        study = optuna.Study(self.spec.name, mirror, sampler=self.sampler, pruner=self._pruner)
        return Draft(mirror, study)

    def accept(self, draft: Draft) -> asyncio.Future[None]:
        """Takes a draft over; the future ends once it is committed.

        Raises:
            TrialNotRunning: A trial of the draft has ended since it began; nothing is kept.
        """
        if self.ownership.error is not None:
            raise self.ownership.error
        try:
            self._mirror.replay(draft.mirror.journal)
        except UpdateFinishedTrialError as error:
            raise TrialNotRunning("The trial has ended in the meantime.") from error
        self._records |= draft.records
        self._adopt_resolved_pruner()
        return self._committer.submit(self.ownership, self._build_write(draft))

    def confirm(self) -> asyncio.Future[None]:
        """Ends once everything accepted so far is committed."""
        return self._committer.submit(self.ownership, None)

    def _build_write(self, draft: Draft) -> StudyWrite:
        revision_before = self._revision
        self._revision += 1
        return StudyWrite(
            self.study_id,
            revision_before,
            self._progress(),
            mutations=draft.mirror.journal,
            records={
                self.get_trial(number)._trial_id: record for number, record in draft.records.items()
            },
            replies=draft.replies,
        )

    def _progress(self) -> StudyProgress:
        best_number = self._mirror.best_number
        best_values = None if best_number is None else self.get_trial(best_number).values
        return StudyProgress(
            revision=self._revision,
            last_seq=self._last_seq,
            state=self.state,
            counts=self._mirror.counts,
            best_number=best_number,
            best_value=best_values[0] if best_values else None,
        )

    def _adopt_resolved_pruner(self) -> None:
        if self.pruner_component != self._pruner_component:
            self._pruner_component = self.pruner_component
            self._pruner = build_pruner(self._pruner_component)


def _build_mirror(loaded: LoadedStudy, trial_ids: TrialIds) -> Mirror:
    return Mirror.of(
        study_id=loaded.study_id,
        name=loaded.spec.name,
        directions=[_DIRECTIONS[objective.direction] for objective in loaded.spec.objectives],
        user_attrs=loaded.user_attrs,
        system_attrs=loaded.system_attrs,
        trials=loaded.trials,
        new_trial_id=trial_ids.take,
    )
