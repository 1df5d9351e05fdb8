"""A body of `POST /sweeps` that is being made from a file."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.domain.arguments import did_you_mean
from service.sweep_files.documents import Document, Path
from service.sweep_files.problems import Problems
from service.sweep_files.sweep_file import Place

_MAX_SHOWN = 20


@dataclass(slots=True)
class Draft:
    """What was made of a file so far, and what is wrong with it.

    Attributes:
        content: Of the body.
        places: Where in the file the parts of the body come from, by their dotted paths.
        executor: How trials are launched; None as long as that is not known.
    """

    source: Document
    problems: Problems
    content: dict[str, Any] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    executor: str | None = None

    def refuse(self, path: Path, message: str) -> None:
        """Adds a problem with a part of the file."""
        self.problems.refuse(to_dotted(path), self.source.find_line(path), message)

    def refuse_part(self, part: str, message: str) -> None:
        """Adds a problem with a part of the body, told of what in the file is nearest to it."""
        while part and part not in self.places:
            part = part.rpartition(".")[0]
        place = self.places.get(part, Place("", 1))
        self.problems.refuse(place.key, place.line, message)

    def note(self, path: Path, message: str) -> None:
        """Adds something to know about a part of the file."""
        self.problems.note(self.source.find_line(path), message)

    def find(self, path: Path) -> Any:
        """Returns a part of the file, which is there."""
        content = self.source.content
        for key in path:
            content = content[key]
        return content

    def put(self, target: Path, content: Any, source: Path) -> None:
        """Sets a part of the body from a part of the file."""
        *groups, last = target
        group: Any = self.content
        for name in groups:
            group = group.setdefault(name, {})
        group[last] = content
        self.link(target, source)

    def link(self, target: Path, source: Path) -> None:
        """Notes that a part of the body comes from a part of the file."""
        self.places[to_dotted(target)] = Place(to_dotted(source), self.source.find_line(source))

    def take_over(self, target: Path, source: Path) -> None:
        """Sets a part of the body to a part of the file with all that is in it."""
        self.put(target, self.find(source), source)
        for path in self.source.list_under(source):
            self.link((*target, *path[len(source) :]), path)

    def refuse_unknown(self, path: Path, found: Mapping[str, Any], known: Iterable[str]) -> None:
        """Adds a problem for every key in a mapping of the file that is not known there."""
        known = tuple(known)
        for key in found:
            if key not in known:
                self.refuse((*path, key), f"This key is not known here.{suggest(key, known)}")


def suggest(name: str, known: Sequence[str]) -> str:
    """Returns what to write instead of an unknown name, as the end of a message."""
    nearest = did_you_mean(name, known)
    return nearest if nearest or len(known) > _MAX_SHOWN else f" Known are {', '.join(known)}."


def to_dotted(path: Path) -> str:
    return ".".join(map(str, path))
