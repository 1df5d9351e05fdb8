"""Runs that W&B does not have, or not all of: kept for `wandb sync`."""

import os
import re
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from service.schedulers.executors.wandb.local.places import goes_with


class KeptRuns:
    """The folder of a worker that such runs are moved to, under the names that wandb gave them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, attempt_id: str, run_folders: Sequence[str]) -> None:
        """Moves the folders of runs; one that is moved already is passed over.

        Raises:
            OSError: Not all of them could be; the others are where they were.
        """
        for run_folder in run_folders:
            with suppress(FileNotFoundError):
                self._move(attempt_id, run_folder)

    def keep_unread(self, attempt_id: str, runs_folder: str) -> None:
        """Moves all that wandb has left of an attempt, whatever it is.

        Raises:
            OSError: It could not be; it is where it was.
        """
        with suppress(FileNotFoundError):
            self._rename(runs_folder, f"{attempt_id}-{os.path.basename(runs_folder)}")

    def describe_sync(self, run_id: str, attempt_folder: str, run_folders: Sequence[str]) -> str:
        """Returns the command that uploads what is kept of a run, or left where its program is.

        Args:
            run_folders: Of the attempt's run, as far as it has any.
        """
        elsewhere = (each for each in run_folders if not goes_with(attempt_folder, each))
        folder = shlex.quote(next(map(os.path.dirname, elsewhere), str(self._folder)))
        numbered = re.compile(rf".*-{re.escape(run_id)}-\d+")
        # What begins alike may be of another attempt, and shells mind a pattern without a match.
        has_numbered = any(map(numbered.fullmatch, run_folders))
        ends = (run_id, f"{run_id}-[0-9]*") if has_numbered else (run_id,)
        # Without the option it passes over runs that began online.
        patterns = " ".join(f"{folder}/*run-*-{end}" for end in ends)
        return f"wandb sync --no-skip-online {patterns}"

    def _move(self, attempt_id: str, run_folder: str) -> None:
        name = os.path.basename(run_folder)
        # The names tell seconds apart, and two attempts of one run have the same id.
        is_taken = (self._folder / name).exists()
        self._rename(run_folder, f"{attempt_id}-{name}" if is_taken else name)

    def _rename(self, folder: str, name: str) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        os.rename(folder, self._folder / name)
