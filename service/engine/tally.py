"""What a budget counts: kept with every change, the same as counted anew from the records."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from optuna.trial import FrozenTrial, TrialState

from service.domain.trials import AttemptPhase
from service.storage.journal import TrialRecord


@dataclass(slots=True)
class Tally:
    """Counts of one study.

    Attributes:
        started: Trials whose first attempt was asked for here.
        first_asked_at: When the first of those was.
        failures_in_row: FAIL trials since the last other end.
        without_improvement: COMPLETE and PRUNED trials since the first of the best ones.
        best_score: Lower is better, whatever the direction.
    """

    started: int = 0
    first_asked_at: datetime | None = None
    failures_in_row: int = 0
    without_improvement: int = 0
    best_score: float | None = None

    def count(
        self,
        record: TrialRecord,
        earlier: TrialRecord | None,
        trial: FrozenTrial,
        score: float | None,
    ) -> None:
        """Counts what a changed record says.

        Args:
            earlier: The record before, if the trial had one.
            score: As for `count_end_of`.
        """
        if is_started(record) and not (earlier is not None and is_started(earlier)):
            assert trial.datetime_start is not None, "a trial that was asked for has begun"
            self.count_start(trial.datetime_start.astimezone())
        if record.phase is AttemptPhase.ENDED:
            self.count_end_of(record, trial, score)

    def count_start(self, at: datetime) -> None:
        """A trial was asked for, for the first time."""
        self.started += 1
        self.first_asked_at = self.first_asked_at or at

    def count_end_of(self, record: TrialRecord, trial: FrozenTrial, score: float | None) -> None:
        """A trial ended, here or elsewhere; what is only as good as the best is no improvement.

        Args:
            score: Lower is better; None if it cannot be the best.
        """
        if is_ended_here(record):
            failed = trial.state is TrialState.FAIL
            self.failures_in_row = self.failures_in_row + 1 if failed else 0
            self.without_improvement += not failed
        if score is not None and (self.best_score is None or score < self.best_score):
            self.best_score = score
            self.without_improvement = 0


def is_started(record: TrialRecord) -> bool:
    """Whether a trial counts towards `max_trials`: asked for here, neither imported nor adopted."""
    return record.ask_seq is not None and record.ask_seq != record.tell_seq


def is_ended_here(record: TrialRecord) -> bool:
    """Whether a trial that has ended did so here: neither imported nor adopted as it was."""
    return record.tell_seq is not None and record.tell_seq != record.ask_seq


def ends_in_order(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Records of the trials that ended, in the order in which they did; adopted ones first."""
    ended = [record for record in records if record.phase is AttemptPhase.ENDED]
    return sorted(ended, key=lambda record: record.tell_seq or 0)
