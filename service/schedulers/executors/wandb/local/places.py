"""Where the run of an attempt is: in WANDB_DIR, or where its program wants it.

`wandb.init(dir=…)` and a WANDB_DIR that the program sets itself win over the worker's; the logger
of Lightning always names one. Such a run is found by the log that the processes of the attempt
have open; once they are gone, in the folder that the program was started in.
"""

import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass

from service.schedulers.executors.process import folders
from service.schedulers.executors.process.marks import build_mark, list_open_files
from service.schedulers.executors.wandb.local.attempt_files import find_runs_folder

_RECORD = "wandb-place.json"
_FOLDER_OF_RUNS = "wandb"
_SEARCH_SECONDS = 0.5
# Of machines with thousands of processes.
_PAUSE_RATIO = 20

# Those of one second are numbered.
_NAME = r"(?:offline-)?run-(?P<second>\d{{8}}_\d{{6}})-{run_id}(?:-(?P<number>\d+))?"


@dataclass(frozen=True, slots=True)
class RunPlace:
    """A folder that wandb puts the folders of runs in.

    Attributes:
        first: Name of the first that is the attempt's own: the attempt that it goes on from may
            have left others of the same run id there. Empty: all are its own.
    """

    folder: str
    first: str = ""

    def list_run_folders(self, run_id: str) -> list[str]:
        """Names, in the order in which they were begun; `latest-run` is a link to one of them."""
        names = _list_names(self.folder, run_id)
        return names[names.index(self.first) :] if self.first in names else names


class PlaceSearch:
    """Finds the runs that are not in WANDB_DIR, by one search for all that want one.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._next_at = clock()
        self._logs: Mapping[str, list[str]] = {}

    def find(self, folder: str, run_id: str) -> bool:
        """Tells whether the processes of an attempt have a run; from then on its place is known."""
        begun_at = self._clock()
        if begun_at >= self._next_at:
            self._logs = list_open_files(".wandb")
            took_seconds = self._clock() - begun_at
            self._next_at = begun_at + max(_SEARCH_SECONDS, _PAUSE_RATIO * took_seconds)
        log_name = _name_log(run_id)
        logs = (log for log in self._logs.get(build_mark(folder), ()))
        found = [log for log in logs if os.path.basename(log) == log_name and os.path.exists(log)]
        return bool(found) and _keep(folder, os.path.dirname(min(found)))


def find_left(folder: str, run_id: str) -> bool:
    """Tells whether an attempt that has ended left a run where its program was started."""
    directory = (folders.read_record(folder, folders.PLAN) or {}).get("directory")
    if not isinstance(directory, str):
        return False
    runs = os.path.join(directory, _FOLDER_OF_RUNS)
    # It is the program's folder, and may be anything.
    with suppress(OSError):
        names = (os.path.join(runs, name) for name in _list_names(runs, run_id))
        left = next((each for each in names if _is_of_attempt(folder, each, run_id)), None)
        return left is not None and _keep(folder, left)
    return False


def read_place(folder: str) -> RunPlace:
    """Returns where an attempt's run was found; what WANDB_DIR says, if nowhere else."""
    match folders.read_record(folder, _RECORD):
        case {"folder": str(place), "first": str(first)}:
            return RunPlace(place, first)
    return RunPlace(os.path.join(find_runs_folder(folder), _FOLDER_OF_RUNS))


def goes_with(folder: str, run_folder: str) -> bool:
    """Tells whether the folder of a run goes with that of its attempt."""
    whole = os.path.realpath(folder)
    return os.path.commonpath((whole, os.path.realpath(run_folder))) == whole


def _keep(folder: str, run_folder: str) -> bool:
    place = RunPlace(os.path.dirname(run_folder), os.path.basename(run_folder))
    folders.write_record(folder, _RECORD, asdict(place))
    return True


def _is_of_attempt(folder: str, run_folder: str, run_id: str) -> bool:
    """The processes of an earlier attempt were gone when this one was started."""
    with suppress(OSError):
        started_at = os.stat(os.path.join(folder, folders.STARTED)).st_mtime
        return os.stat(os.path.join(run_folder, _name_log(run_id))).st_mtime >= started_at
    return False


def _list_names(folder: str, run_id: str) -> list[str]:
    pattern = re.compile(_NAME.format(run_id=re.escape(run_id)))
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    matches = [match for name in names if (match := pattern.fullmatch(name)) is not None]
    matches.sort(key=lambda match: (match["second"], int(match["number"] or 0)))
    return [match[0] for match in matches]


def _name_log(run_id: str) -> str:
    return f"run-{run_id}.wandb"
