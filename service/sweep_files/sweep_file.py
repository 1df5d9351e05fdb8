"""What a sweep file says, in our words, and where it says so."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from service.domain.errors import FieldError
from service.sweep_files.problems import Problems
from service.sweep_files.words import to_words


class Dialect(StrEnum):
    """How a sweep file is written: as Weights & Biases has it, or as our API has it."""

    WANDB = "wandb"
    NATIVE = "native"


@dataclass(frozen=True, slots=True)
class Defaults:
    """What counts where a file says nothing of it; None: nothing does.

    Attributes:
        name: Of the study.
        directory: Of programs.
        executor: How trials are launched. A file that says otherwise is refused.
        project: Of runs of W&B, like the next two.
        has_gp: Whether the server can run GPSampler, for `method: bayes`; None: nobody knows.
    """

    name: str | None = None
    directory: str | None = None
    executor: str | None = None
    project: str | None = None
    entity: str | None = None
    mode: str | None = None
    has_gp: bool | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A part of a file: its dotted path as the user wrote it, and its line, from 1."""

    key: str
    line: int


@dataclass(frozen=True, slots=True)
class SweepFile:
    """A sweep file that was read.

    Attributes:
        document: The body of `POST /sweeps`; its depths are checked by whoever takes it.
        notes: What the user should know, each with its line.
        places: Of the parts of the document, by their dotted paths.
        executor: How trials are launched; None if what the file says of it is wrong.
        problems: What is wrong with the file; whoever checks the document adds to them.
    """

    document: dict[str, Any]
    notes: tuple[str, ...]
    dialect: Dialect
    places: Mapping[str, Place] = field(repr=False)
    executor: str | None
    problems: Problems = field(repr=False)

    @property
    def name(self) -> str | None:
        """The study's name; None if whoever creates it has to choose one."""
        return self.document.get("name")

    def find_line(self, path: str) -> int | None:
        """The line of what an error about the document names, or None."""
        place = self.find_place(path)
        return None if place is None else place.line

    def find_place(self, path: str) -> Place | None:
        """Where the file says what an error about the document names, or None.

        Args:
            path: Dotted, into the document or into its space. The nearest part around it counts
                if the file does not have the part itself.
        """
        found = [self._find_nearest(f"{prefix}{path}") for prefix in ("", "space.")]
        _, place = max(found, key=lambda each: each[0])
        return place

    def place_error(self, error: FieldError) -> FieldError | None:
        """An error about the document as one about the file, or None if it is about neither."""
        place = self._find_named(error)
        if place is None:
            return None
        return FieldError(place.key, f"line {place.line}: {self.say(error)}")

    def refuse(self, error: FieldError) -> None:
        """Adds an error about the document to the problems, unless it follows from one of them.

        What the file does not have at all is only wrong because of something else in it.

        Raises:
            InvalidSweepFile: There is so much wrong that nobody would read on.
        """
        place = self._find_named(error)
        if not self.problems.is_about(place.key if place else ""):
            place = place or Place(error.field, 1)
            self.problems.refuse(place.key, place.line, self.say(error))

    def say(self, error: FieldError) -> str:
        """What is wrong with a part of the document, in the words of sweep files."""
        return to_words(error.message, self._find_value(error.field))

    def _find_value(self, path: str) -> Any:
        value: Any = self.document
        for name in path.split("."):
            match value:
                case dict():
                    value = value.get(name)
                case list() if name.isdecimal() and int(name) < len(value):
                    value = value[int(name)]
                case _:
                    return None
        return value

    def _find_named(self, error: FieldError) -> Place | None:
        """The place of an error, named after what the file lacks if it only has what is around."""
        place = self.find_place(error.field)
        if place is None or error.field.rpartition(".")[0] != place.key:
            return place
        return Place(error.field, place.line)

    def _find_nearest(self, path: str) -> tuple[int, Place | None]:
        """The nearest part, and how many names of the path, counted from the end, it lacks."""
        missing = 0
        while path and path != "space":
            if path in self.places:
                return -missing, self.places[path]
            path, _, _ = path.rpartition(".")
            missing += 1
        return -missing, None
