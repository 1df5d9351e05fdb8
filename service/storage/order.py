"""Reads a study together with its recorded order: what was asked, suggested and told, and when."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import psycopg

from service.storage.database import Database
from service.storage.journal import TrialRecord
from service.storage.loader import LoadedStudy, read_study

_FIND_STUDY_ID = """
SELECT study_id FROM asktell.studies WHERE name = %s
"""

# Parameters that the code of trials declared, in the order in which they were chosen.
_SELECT_SUGGESTIONS = """
SELECT s.seq, t.number, s.names
FROM asktell.suggestions s JOIN asktell.trials t USING (trial_id)
WHERE t.study_id = %s ORDER BY s.seq
"""


class EventKind(StrEnum):
    """What may happen to a trial that what comes after it depends on."""

    ENQUEUED = "enqueued"
    IMPORTED = "imported"
    ASKED = "asked"
    SUGGESTED = "suggested"
    TOLD = "told"


@dataclass(frozen=True, slots=True)
class Event:
    """One position of a study's recorded order.

    Attributes:
        names: The parameters that were suggested.
    """

    seq: int
    kind: EventKind
    number: int
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordedStudy:
    """A study as of its last commit, and how it came to be."""

    loaded: LoadedStudy
    events: list[Event]


def load_recorded_study(database: Database, name: str) -> RecordedStudy | None:
    """Reads a managed study in one snapshot, beside whoever serves it; None if there is none.

    Raises:
        psycopg.OperationalError: The database cannot be reached.
    """
    with psycopg.connect(database.conninfo) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        row = connection.execute(_FIND_STUDY_ID, (name,)).fetchone()
        loaded = None if row is None else read_study(connection, row[0])
        if loaded is None:
            return None
        events = [*_list_events(loaded.records), *_load_suggestions(connection, loaded.study_id)]
        # Stable: a trial comes before the parameters that were chosen with it.
        return RecordedStudy(loaded, sorted(events, key=lambda event: event.seq))


def _list_events(records: Mapping[int, TrialRecord]) -> Iterable[Event]:
    for record in records.values():
        if record.enqueue_seq is not None:
            yield Event(record.enqueue_seq, EventKind.ENQUEUED, record.number)
        if record.ask_seq is not None:
            is_import = record.ask_seq == record.tell_seq
            kind = EventKind.IMPORTED if is_import else EventKind.ASKED
            yield Event(record.ask_seq, kind, record.number)
        if record.tell_seq is not None and record.tell_seq != record.ask_seq:
            yield Event(record.tell_seq, EventKind.TOLD, record.number)


def _load_suggestions(connection: psycopg.Connection[Any], study_id: int) -> Iterable[Event]:
    for seq, number, names in connection.execute(_SELECT_SUGGESTIONS, (study_id,)):
        yield Event(seq, EventKind.SUGGESTED, number, tuple(names))
