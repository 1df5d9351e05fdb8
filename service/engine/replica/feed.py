"""Feed: what a study has accepted since its replica was last brought up to date."""

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.storage.journal import Mutation, StudyAttrSet, TrialAttrSet

# Beyond that, reading the study anew is no more work, and it needs no memory meanwhile.
_MOST_JOURNALS = 20_000
_MOST_LENGTH = 64 << 20


@dataclass(slots=True)
class _Journals:
    """Everything accepted after revision `since`, with the revision that each led to.

    Attributes:
        length: Of the attributes in it, in characters of JSON and only about.
    """

    since: int
    length: int = 0
    entries: deque[tuple[int, Sequence[Mutation]]] = field(default_factory=deque)


class Feed:
    """Journals for one replica, kept only while there is one.

    The event loop opens it and adds to it; one thread at a time takes from it.

    Args:
        without: Attributes of the study that the replica does not look at, long ones.
    """

    def __init__(self, *, without: Collection[str] = ()) -> None:
        self._without = without
        self._journals: _Journals | None = None

    def open(self, revision: int) -> None:
        """Keeps what is accepted after `revision`, the study's present one; idempotent."""
        if self._journals is None:
            self._journals = _Journals(since=revision)

    def close(self) -> None:
        """Keeps nothing any more; any thread."""
        self._journals = None

    def note(self, revision: int, journal: Sequence[Mutation]) -> None:
        """Adds what led the study to `revision`."""
        kept = self._journals
        if kept is None or not journal:
            return
        if self._without:
            journal = [mutation for mutation in journal if not self._is_left_out(mutation)]
        kept.entries.append((revision, journal))
        kept.length += sum(map(_measure, journal))
        if len(kept.entries) > _MOST_JOURNALS or kept.length > _MOST_LENGTH:
            self.close()

    def take(self, *, after: int, until: int) -> list[Mutation] | None:
        """Removes and returns what led from one revision to another; None if it was not kept."""
        kept = self._journals
        if kept is None or not kept.since <= after <= until:
            return None
        taken: list[Mutation] = []
        while kept.entries and kept.entries[0][0] <= until:
            revision, journal = kept.entries.popleft()
            kept.length -= sum(map(_measure, journal))
            if revision > after:
                taken.extend(journal)
        kept.since = until
        return taken

    def _is_left_out(self, mutation: Mutation) -> bool:
        return isinstance(mutation, StudyAttrSet) and mutation.key in self._without


def _measure(mutation: Mutation) -> int:
    """Attributes may be long; all else is short."""
    return (
        _measure_value(mutation.value) if isinstance(mutation, StudyAttrSet | TrialAttrSet) else 0
    )


def _measure_value(value: Any) -> int:
    match value:
        case str():
            return len(value)
        case list():
            return len(value) + sum(map(_measure_value, value))
        case dict():
            return sum(len(key) + _measure_value(item) for key, item in value.items())
    return 1
