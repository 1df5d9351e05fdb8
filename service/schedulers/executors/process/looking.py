"""What the folder of an attempt tells of it."""

from service.domain.attempts import Ending, EndingKind
from service.schedulers.executors.base import MOST_ROWS, MetricRow, Sighting, Watch
from service.schedulers.executors.process import folders
from service.schedulers.executors.process.log_files import read_log
from service.schedulers.executors.process.marks import kill_marked
from service.schedulers.executors.process.metric_files import (
    FIRST,
    Position,
    are_values,
    read_rows,
)
from service.schedulers.executors.process.processes import kill_program, read_boot_id

_MAX_LOG_BYTES = 64 * 1024
_MAX_BEHIND_BYTES = 256 * 1024
_KINDS = frozenset(map(str, EndingKind))


def look(folder: str, watch: Watch, near: Position = FIRST) -> tuple[Sighting, Position]:
    """Returns what there is to see, and a position from which to read on the next time.

    Raises:
        Exception: The folder cannot be read.
    """
    # How it ended first: all that it left is there then.
    ending = _find_ending(folder)
    if ending is None and not folders.has(folder, folders.STARTED):
        return Sighting(is_running=False, log_offset=watch.log_offset), FIRST
    if not folders.has(folder, folders.LOCK):
        return Sighting(is_running=False, log_offset=watch.log_offset, ending=ending), FIRST
    rows, position = read_rows(folder, watch.cursor, near=near, limit=MOST_ROWS + 1)
    log_offset, log = read_log(
        folder, watch.log_offset, limit=_MAX_LOG_BYTES, max_behind=_MAX_BEHIND_BYTES
    )
    sighting = Sighting(
        is_running=ending is None,
        rows=[MetricRow(row.step, row.values) for row in rows],
        log_offset=log_offset,
        log=log,
        ending=ending,
    )
    return sighting, position


def give_up(folder: str, watch: Watch, error: Exception) -> Sighting | None:
    """Returns the end of an attempt whose folder stays unreadable; None while it may be at work.

    Raises:
        Exception: Not even that can be told.
    """
    if _is_locked(folder) or end_left_overs(folder):
        return None
    message = f"What is known of it on this machine cannot be read: {error}"
    ending = Ending(EndingKind.VANISHED, message=message, values={})
    return Sighting(is_running=False, log_offset=watch.log_offset, ending=ending)


def is_at_work(folder: str) -> bool:
    """Tells whether a supervisor is there that has not finished."""
    return _is_locked(folder) and not folders.has(folder, folders.EXIT)


def end_left_overs(folder: str) -> bool:
    """Kills what a supervisor that is gone left behind; returns whether there was anything."""
    if read_boot_id():
        return kill_marked(folder)
    started = folders.read_record(folder, folders.STARTED) or {}
    program = folders.read_record(folder, folders.PROGRAM) or {}
    return bool(started and program) and kill_program(program["pid"], started["session"])


def _find_ending(folder: str) -> Ending | None:
    if not folders.has(folder, folders.LOCK):
        return Ending(
            EndingKind.VANISHED, message="Nothing is known of it on this machine.", values={}
        )
    # A supervisor that finds its lock taken leaves, so it is tried only once that has started; and
    # before the last look for an end, because what is free will bring none any more.
    is_settled = folders.has(folder, folders.STARTED) or folders.has(folder, folders.EXIT)
    is_over = is_settled and not _is_locked(folder)
    return _read_ending(folder) or (_find_vanished(folder) if is_over else None)


def _is_locked(folder: str) -> bool:
    with folders.try_lock(folder) as was_free:
        return not was_free


def _read_ending(folder: str) -> Ending | None:
    match folders.read_record(folder, folders.EXIT):
        case {
            "kind": str(kind),
            "exit_code": int() | None as exit_code,
            "signal": int() | None as number,
            "message": str() | None as message,
            "values": dict(values),
        } if kind in _KINDS and are_values(values):
            return Ending(EndingKind(kind), exit_code, number, message, values)
    # None that a supervisor wrote: it counts as missing.
    return None


def _find_vanished(folder: str) -> Ending | None:
    if end_left_overs(folder):
        # Gone the next time.
        return None
    rows, _ = read_rows(folder, 0)
    values = {name: value for row in rows for name, value in row.values.items()}
    return Ending(EndingKind.VANISHED, message=_explain_vanished(folder), values=values)


def _explain_vanished(folder: str) -> str:
    started = folders.read_record(folder, folders.STARTED) or {}
    if started.get("boot_id", "") != read_boot_id():
        return "The machine was restarted."
    errors = folders.read_text(folder, folders.SUPERVISOR_ERRORS).splitlines()
    return f"Its supervisor failed: {errors[-1]}" if errors else "Its supervisor was killed."
