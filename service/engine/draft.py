"""One operation on a study, until it is accepted."""

from dataclasses import dataclass, field

import optuna

from service.engine.control import Control
from service.engine.mirror import Mirror
from service.storage.journal import Launch, StoredReply, Suggestion, TrialRecord


@dataclass(slots=True)
class Draft:
    """One operation's view of its study: reads see the study, writes stay here until accepted.

    Attributes:
        study: Stock Optuna on the draft's mirror.
        records: Changed trial records, by trial number.
        launches: Changed attempts of workers, by trial number and attempt.
        control: The changed control; None leaves the study's.
    """

    mirror: Mirror
    study: optuna.Study
    records: dict[int, TrialRecord] = field(default_factory=dict)
    launches: dict[tuple[int, int], Launch] = field(default_factory=dict)
    suggestions: list[Suggestion] = field(default_factory=list)
    replies: list[StoredReply] = field(default_factory=list)
    control: Control | None = None

    @property
    def is_empty(self) -> bool:
        """Whether accepting it would change nothing."""
        changes = (
            self.mirror.journal,
            self.records,
            self.launches,
            self.suggestions,
            self.replies,
        )
        return self.control is None and not any(changes)
