"""Files that appear whole or not at all, for their owner alone."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.cli.failures import CannotStart


class NewFile:
    """An empty file beside the one that it is to become; see `open_new_file`."""

    def __init__(self, path: Path, aside: Path) -> None:
        self._path = path
        self._aside = aside

    def replace(self, text: str) -> None:
        """Puts it there with this text, instead of what is there.

        Raises:
            CannotStart: The text cannot be written.
        """
        with _explaining(self._path):
            self._write(text)
            self._aside.replace(self._path)

    def appear(self, text: str) -> None:
        """Puts it there with this text, unless there is something."""
        with _explaining(self._path):
            self._write(text)
            with contextlib.suppress(FileExistsError):
                os.link(self._aside, self._path)

    def _write(self, text: str) -> None:
        with self._aside.open("w") as file:
            file.write(f"{text}\n")
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def open_new_file(path: Path) -> Iterator[NewFile]:
    """A file that may become `path`; nothing of it is left behind if it does not.

    Raises:
        CannotStart: There can be no new file in that folder.
    """
    with _explaining(path):
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        os.close(descriptor)
    aside = Path(name)
    try:
        yield NewFile(path, aside)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CannotStart(f"{path} cannot be written: {error.strerror}.") from error
