"""One managed study, live: what was committed plus what is on its way.

Operations on a study happen one after another because they run on one event loop: an operation
works on a draft, and accepting the draft is a single step without an await. Only sampling may
take long; it runs on a draft of its own while reports and tells go on, one at a time per study.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

import optuna
import structlog
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial

from service.domain.errors import TrialNotFound, TrialNotRunning
from service.domain.studies import Component, StopReason, StudyState
from service.domain.trials import AttemptPhase, TrialState
from service.engine.attempts import Attempts
from service.engine.changes import Changes
from service.engine.committer import Committer, Ownership
from service.engine.control import Control, Standing, find_deadline, find_stop_reason
from service.engine.declaring import RunCode
from service.engine.draft import Draft
from service.engine.offers import Offers
from service.engine.open_launches import OpenLaunches
from service.engine.replica.replicas import Look, Replicas
from service.engine.replies import Replies
from service.engine.restoring import RestoredStudy
from service.engine.sampling import Sampling
from service.engine.scores import find_score
from service.engine.tally import is_ended_here
from service.engine.trial_ids import TrialIds
from service.metrics import count_ended_trial, count_granted_attempts
from service.pruners import build_pruner
from service.samplers import EXHAUSTED_ATTR, build_sampler
from service.search_space import parse_space
from service.storage.journal import (
    ANY_NUMBER,
    StudyProgress,
    StudyWrite,
    TrialRecord,
)

PRUNER_ATTR = "asktell:pruner"
"""Study system attribute: the pruner with its "auto" resources resolved, once they are."""

_log = structlog.get_logger(__name__)


class Actor:
    """The one place where a study changes. Belongs to the event loop.

    Attributes:
        drawing: Held while trials are created or parameters suggested, and by whoever decides
            whether there will be more.
        judging: Held while a user's pruner decides.
        sampling: Where that runs.
        sampler: Draws by seed, trial and purpose; one draw of the study at a time. One that is
            too heavy for this process draws in a replica, see `begin_drawing`.
        clock: Gives the current time, aware.
        sweep: None if trials are only handed to clients.
        launches: Attempts that workers are at.
        run_code: Has the user's code declare the parameters of a trial; None if there is none that
            does.
        used_at: When somebody last had to do with the study, in seconds of the loop's clock.
    """

    def __init__(
        self,
        restored: RestoredStudy,
        *,
        ownership: Ownership,
        committer: Committer,
        trial_ids: TrialIds,
        sampling: Sampling,
        clock: Callable[[], datetime],
        offers: Offers,
        replicas: Replicas,
        run_code: RunCode | None = None,
    ) -> None:
        loaded = restored.loaded
        self.study_id = loaded.study_id
        self.spec = loaded.spec
        self.space = None if loaded.spec.space is None else parse_space(loaded.spec.space)
        self.drawing = asyncio.Lock()
        self.judging = asyncio.Lock()
        self.sampling = sampling
        self.clock = clock
        self.sweep = loaded.sweep
        self.run_code = run_code
        self.launches = OpenLaunches(loaded.launches)
        self.replies = Replies(loaded.replies)
        self.ownership = ownership
        self.attempts = Attempts(loaded.records, now=clock())
        self.control = Control(loaded.settings, loaded.is_paused, loaded.stop_reason)
        self._committer = committer
        self._trial_ids = trial_ids
        self._offers = offers
        self._replicas = replicas
        ownership.call_at_end(replicas.close)
        self._revision = loaded.revision
        self._last_seq = loaded.last_seq
        self.used_at = asyncio.get_running_loop().time()
        self._granting = 0
        self._last_commit: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._last_commit.set_result(None)
        self._changes = Changes()
        self._mirror = restored.mirror
        self._tally = restored.tally
        self.sampler = build_sampler(self.spec.sampler, seed=self.spec.seed, space=self.space)
        self._pruner_component = self.pruner_component
        self._pruner = build_pruner(self._pruner_component)
        # An adopted study may have reached its target before its first ask.
        self._settle(self.control)
        if self.control.stop_reason is not None and self.attempts.count_queued:
            # What waits for another attempt does not do so for ever any more.
            self.attempts.wake_by(clock())

    # What the use cases read

    @property
    def runs_code(self) -> bool:
        """Whether code of the user's has a say in what is drawn."""
        return self.run_code is not None or self.spec.has_terminator or self._replicas.is_users

    @property
    def judges_elsewhere(self) -> bool:
        """Whether the pruner is a user's, which decides in a process of its own."""
        return self._replicas.judges

    @property
    def is_multi_objective(self) -> bool:
        return len(self.spec.objectives) > 1

    @property
    def count_trials(self) -> int:
        return self._mirror.counts.total

    @property
    def revision(self) -> int:
        """Counts the changes of the study, those on their way to the database included."""
        return self._revision

    @property
    def is_idle(self) -> bool:
        """Whether nobody is at work on the study, here or on one of its trials."""
        is_busy = self.drawing.locked() or self.judging.locked() or not self._last_commit.done()
        is_waited_for = self._changes.count_waiting or self.attempts.count_leased
        return not is_busy and not is_waited_for and self.state != StudyState.STOPPING

    @property
    def is_closing(self) -> bool:
        """Whether the server is about to end, so that nobody is to wait for anything."""
        return self._offers.closed.is_set()

    @property
    def state(self) -> StudyState:
        return self.control.get_state(has_unfinished=self._mirror.counts.running > 0)

    @property
    def room(self) -> int | None:
        """How many more attempts `parallelism` lets be live; None: any number."""
        parallelism = self.control.settings.parallelism
        if parallelism is None:
            return None
        return max(0, parallelism - self.attempts.count_live - self._granting)

    @property
    def trials_left(self) -> int | None:
        """How many more trials the study may start; None: any number."""
        if self.control.stop_reason is not None:
            return 0
        max_trials = self.control.settings.budget.max_trials
        return None if max_trials is None else max(0, max_trials - self._tally.started)

    @property
    def wanted(self) -> int:
        """How many attempts workers could start now; 0 for what is no sweep."""
        if self.sweep is None or self.control.is_paused:
            return 0
        left = ANY_NUMBER if self.trials_left is None else self.trials_left
        if self.control.hands_out_retries:
            left += self.attempts.count_queued
        return min(left, ANY_NUMBER if self.room is None else self.room, ANY_NUMBER)

    @property
    def wake_at(self) -> datetime | None:
        """When the study needs attention though nobody calls; None: never."""
        deadline = None
        if self.control.hands_out_retries and self.state is not StudyState.FINISHED:
            deadline = find_deadline(self.control.settings.budget, self._tally)
        return min((at for at in (self.attempts.wake_at, deadline) if at), default=None)

    @property
    def is_due(self) -> bool:
        """Whether the study needs attention now."""
        return self.wake_at is not None and self.clock() >= self.wake_at

    @property
    def is_stopping_now(self) -> bool:
        """Whether the next change will find a reason to start no new trials."""
        return self.control.stop_reason is None and self.find_stop_reason(self.control) is not None

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
        record = self.attempts.find(number)
        assert record is not None, "every trial of a managed study has a record"
        return record

    def find_stop_reason(self, control: Control) -> StopReason | None:
        """Returns why a study with that control should start no new trials."""
        standing = Standing(
            tally=self._tally,
            direction=self.spec.objectives[0].direction,
            best_value=self._best_value,
            is_exhausted=bool(self._mirror.system_attrs.get(EXHAUSTED_ATTR)),
        )
        return find_stop_reason(control.settings.budget, standing, self.clock())

    # What the use cases do

    async def reserve_trials(self, count: int) -> None:
        """Makes sure that a draft can create `count` trials."""
        await self._trial_ids.reserve(count)

    @contextmanager
    def granting(self, count: int) -> Iterator[None]:
        """Keeps room for attempts that are about to become live."""
        self._granting += count
        try:
            yield
        finally:
            self._granting -= count

    def draw_seqs(self, count: int) -> range:
        """Returns the next positions in the study's recorded order."""
        first = self._last_seq + 1
        self._last_seq += count
        return range(first, first + count)

    def check_ours(self) -> None:
        """Raises why the study may no longer be served from here, if so."""
        if self.ownership.error is not None:
            raise self.ownership.error

    def begin(self) -> Draft:
        """Starts an operation; dropping the draft undoes everything in it."""
        mirror = self._mirror.fork()
        study = optuna.Study(self.spec.name, mirror, sampler=self.sampler, pruner=self._pruner)
        return Draft(mirror, study)

    def begin_drawing(self) -> Draft:
        """Starts an operation in which the sampler draws, in a thread that may wait."""
        draft = self.begin()
        if self._replicas.draws:
            draft.study.sampler = self._replicas.open_sampler(
                self._mirror, self._revision, local=self.sampler
            )
        return draft

    def open_judge(self) -> Look:
        """Returns a way to ask a user's pruner or terminator about the study as it is now."""
        return self._replicas.open_judge(self._mirror, self._revision)

    def look(self) -> Look:
        """Returns a way to have something computed from the study as it is now."""
        return self._replicas.look(self._mirror, self._revision)

    def accept(self, draft: Draft) -> asyncio.Future[None]:
        """Takes a draft over; the future ends once it is committed.

        Raises:
            TrialNotRunning: A trial of the draft has ended since it began; nothing is kept.
        """
        self.check_ours()
        try:
            self._mirror.replay(draft.mirror.journal)
        except UpdateFinishedTrialError as error:
            raise TrialNotRunning("The trial has ended in the meantime.") from error
        offered = self._offer
        for record in sorted(draft.records.values(), key=lambda each: each.tell_seq or 0):
            self._count(record)
            self.attempts.put(record)
        for launch in draft.launches.values():
            self.launches.put(launch)
        self._settle(draft.control or self.control)
        self._adopt_resolved_pruner()
        if self._offer != offered:
            self._announce_change()
        write = self._build_write(draft)
        self._replicas.note(self._revision, write.mutations)
        return self._submit(write)

    def confirm(self) -> asyncio.Future[None]:
        """Ends once everything accepted so far is committed."""
        return self._submit(None)

    async def wait_for_change(self, seconds: float) -> None:
        """Returns once an ask may get more, nobody is to wait any more, or after `seconds`."""
        await self._changes.wait(seconds, self.ownership.ended, self._offers.closed)

    def _submit(self, write: StudyWrite | None) -> asyncio.Future[None]:
        self._last_commit = self._committer.submit(self.ownership, write)
        return self._last_commit

    @property
    def _offer(self) -> tuple[int | None, int, Control]:
        """What decides whether an ask that waits gets something."""
        return self.room, self.attempts.count_queued, self.control

    def _announce_change(self) -> None:
        self._changes.announce()
        if self.wanted:
            # Whoever hears it before it is written looks again soon.
            self._offers.announce()

    def _count(self, record: TrialRecord) -> None:
        earlier, trial = self.attempts.find(record.number), self.get_trial(record.number)
        self._tally.count(record, earlier, trial, find_score(trial, self._mirror.directions))
        is_granted = record.attempt > (earlier.attempt if earlier else 0)
        if is_granted and record.ask_seq != record.tell_seq:
            count_granted_attempts()
        if record.phase is AttemptPhase.ENDED and is_ended_here(record):
            count_ended_trial(TrialState[trial.state.name])

    def _settle(self, control: Control) -> None:
        if control.hands_out_retries:
            reason = self.find_stop_reason(control)
            control = replace(control, stop_reason=reason or control.stop_reason)
        if control.stop_reason is not None and control.stop_reason != self.control.stop_reason:
            if self.attempts.count_queued:
                self.attempts.wake_by(self.clock())
            _log.info("study.stopped", study=self.spec.name, reason=control.stop_reason.value)
        self.control = control

    @property
    def _best_value(self) -> float | None:
        number = self._mirror.best_number
        values = None if number is None else self.get_trial(number).values
        return values[0] if values else None

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
            launches=draft.launches,
            suggestions=draft.suggestions,
            replies=draft.replies,
            settings=None if draft.control is None else draft.control.settings,
        )

    def _progress(self) -> StudyProgress:
        return StudyProgress(
            revision=self._revision,
            last_seq=self._last_seq,
            state=self.state,
            is_paused=self.control.is_paused,
            stop_reason=self.control.stop_reason,
            started=self._tally.started,
            wake_at=self.wake_at,
            counts=self._mirror.counts,
            best_number=self._mirror.best_number,
            best_value=self._best_value,
            wanted=self.wanted,
        )

    def _adopt_resolved_pruner(self) -> None:
        if self.pruner_component != self._pruner_component:
            self._pruner_component = self.pruner_component
            self._pruner = build_pruner(self._pruner_component)
