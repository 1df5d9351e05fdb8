"""What a budget counts: kept with every change, the same as counted anew from the records."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from service.domain.trials import AttemptPhase, TrialState
from service.storage.journal import TrialRecord


@dataclass(slots=True)
class Tally:
    """Counts of one study.

    Attributes:
        started: Trials whose first attempt was asked for here.
        first_asked_at: When the first of those was.
        failures_in_row: FAIL trials since the last other end.
        without_improvement: COMPLETE and PRUNED trials since the best one.
    """

    started: int = 0
    first_asked_at: datetime | None = None
    failures_in_row: int = 0
    without_improvement: int = 0

    def count_start(self, at: datetime) -> None:
        """A trial was asked for, for the first time."""
        self.started += 1
        self.first_asked_at = self.first_asked_at or at

    def count_end(self, state: TrialState, *, is_best: bool) -> None:
        """A trial that was started here has ended."""
        if state is TrialState.FAIL:
            self.failures_in_row += 1
            return
        self.failures_in_row = 0
        self.without_improvement = 0 if is_best else self.without_improvement + 1

    def count_import(self, *, is_best: bool) -> None:
        """A trial that had ended elsewhere came in."""
        if is_best:
            self.without_improvement = 0


def is_started(record: TrialRecord) -> bool:
    """Whether a trial counts towards `max_trials`: asked for here, neither imported nor adopted."""
    return record.ask_seq is not None and record.ask_seq != record.tell_seq


def ends_in_order(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Records of the trials that ended here, in the order in which they did."""
    ended = [record for record in records if record.phase is AttemptPhase.ENDED]
    return sorted(
        (record for record in ended if record.tell_seq is not None), key=lambda r: r.tell_seq or 0
    )
