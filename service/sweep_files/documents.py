"""YAML text as plain data, with the line of every part."""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml import events
from yaml.constructor import SafeConstructor
from yaml.nodes import ScalarNode
from yaml.resolver import Resolver

from service.domain.errors import InvalidSweepFile
from service.sweep_files.problems import Problems

MAX_BYTES = 2**20
MAX_PARTS = 100_000
"""Of a document; each use of an anchor counts, and each 100 characters of a part and its path."""

_MAX_DEPTH = 64
_CHARACTERS_OF_PART = 100
_MERGE = "<<"
_KEY = ""
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_READ_AS_WRITTEN = frozenset({"str", "int", "float", "bool", "timestamp"})
_STANDARD = "tag:yaml.org,2002:"
# What YAML 1.1 takes for text, because it wants a dot in a number with an exponent.
_DOTLESS_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+", re.ASCII)

Path = tuple[str | int, ...]
# After any number of escaped backslashes.
_SURROGATES = re.compile(
    r"(?<!\\)((?:\\\\)*)(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
)


class Document:
    """What a file says.

    Attributes:
        lines: Of every part by its path, from 1. Parts of what an anchor repeats are left out.
    """

    def __init__(self, content: Any, lines: Mapping[Path, int]) -> None:
        self.content = content
        self.lines = lines
        self._inner = _group_by_outer(lines)

    def find_line(self, path: Path) -> int:
        """The line of a part, or of the nearest part around it."""
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]

    def list_under(self, path: Path) -> list[Path]:
        """A part and all the parts in it."""
        found = [path] if path in self.lines else []
        for each in found:
            found += self._inner.get(each, ())
        return found


def _group_by_outer(lines: Mapping[Path, int]) -> Mapping[Path, Sequence[Path]]:
    groups: dict[Path, list[Path]] = {}
    for path in lines:
        if path:
            groups.setdefault(path[:-1], []).append(path)
    return groups


def read_document(text: str, *, keeps_text: Callable[[Path], bool], problems: Problems) -> Document:
    """Reads one YAML 1.1 document, of which JSON is a part.

    A number such as 1e-5, which YAML 1.1 takes for text, becomes one, with a note. What is no
    JSON is refused: keys that are no text, tags, NaN and infinities; and so are keys given twice.

    Args:
        keeps_text: Tells by their paths which scalars stay as they are written.
        problems: Takes what can be told without giving up.

    Raises:
        InvalidSweepFile: The text cannot be read as YAML at all, or is too large.
    """
    _check_text(text)
    reader = _Reader(text, keeps_text, problems)
    try:
        return reader.read()
    except yaml.YAMLError as error:
        raise _explain(error, text) from error


def _check_text(text: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise _refusal(line, "This is not valid Unicode.") from error
    if size > MAX_BYTES:
        raise _refusal(1, f"A sweep file has at most {MAX_BYTES} bytes; this has {size}.")


def _explain(error: yaml.YAMLError, text: str) -> InvalidSweepFile:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        line = text.count("\n", 0, getattr(error, "position", 0)) + 1
        return _refusal(line, "There is a control character here, which YAML does not allow.")
    problem = getattr(error, "problem", None) or "it ends too early"
    if _is_indented_by_tab(text, mark.line):
        return _refusal(mark.line + 1, "YAML is indented with spaces, never with a tab.")
    return _refusal(mark.line + 1, f"This is not valid YAML: {problem}.")


def _is_indented_by_tab(text: str, index: int) -> bool:
    lines = text.splitlines()
    if index >= len(lines):
        return False
    return "\t" in lines[index][: len(lines[index]) - len(lines[index].lstrip())]


def _refusal(line: int, message: str) -> InvalidSweepFile:
    problems = Problems()
    problems.refuse("", line, message)
    return problems.to_error()


@dataclass(slots=True)
class _Anchored:
    content: Any
    n_parts: int


@dataclass(slots=True)
class _Mapping:
    """A mapping so far; what is merged into it gives way to its own keys."""

    own: dict[str, Any] = field(default_factory=dict)
    merged: dict[str, Any] = field(default_factory=dict)


class _Reader:
    """Builds a document from the parser's events, which come one after another, however deep."""

    def __init__(self, text: str, keeps_text: Callable[[Path], bool], problems: Problems) -> None:
        is_json = _is_json(text)
        yaml_text = _join_surrogates(text) if is_json else text
        self._events: Iterator[events.Event] = yaml.parse(yaml_text, Loader=_LOADER)
        self._keeps_text = keeps_text
        self._problems = problems
        self._is_json = is_json
        self._resolver = Resolver()
        self._constructor = SafeConstructor()
        self._anchors: dict[str, _Anchored] = {}
        self._lines: dict[Path, int] = {}
        self._n_parts = 0

    def read(self) -> Document:
        next(self._events)
        if isinstance(next(self._events), events.StreamEndEvent):
            raise _refusal(1, "The file is empty.")
        content = self._read_part(next(self._events), ())
        next(self._events)
        after = next(self._events)
        if not isinstance(after, events.StreamEndEvent):
            raise _refusal(_line_of(after), "A sweep file holds one document, so no second `---`.")
        return Document(content, self._lines)

    def _read_part(self, event: events.Event, path: Path) -> Any:
        self._lines.setdefault(path, _line_of(event))
        before = self._n_parts
        self._count(event, 1 + _count_characters(event, path) // _CHARACTERS_OF_PART)
        if len(path) > _MAX_DEPTH:
            raise _refusal(_line_of(event), f"This is nested more than {_MAX_DEPTH} deep.")
        match event:
            case events.AliasEvent():
                return self._repeat(event)
            case events.ScalarEvent():
                read: Callable[..., Any] = self._read_scalar
            case events.SequenceStartEvent():
                read = self._read_sequence
            case _:
                read = self._read_mapping
        content = read(event, path)
        if isinstance(event, events.NodeEvent) and event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(content, self._n_parts - before)
        return content

    def _repeat(self, event: events.AliasEvent) -> Any:
        anchored = self._anchors.get(event.anchor or "")
        if anchored is None:
            raise _refusal(_line_of(event), f"There is no anchor &{event.anchor} before this.")
        self._count(event, anchored.n_parts)
        return anchored.content

    def _count(self, event: events.Event, n_parts: int) -> None:
        self._n_parts += n_parts
        if self._n_parts > MAX_PARTS:
            raise _refusal(
                _line_of(event),
                f"A sweep file has at most {MAX_PARTS} parts; long ones count as several.",
            )

    def _read_sequence(self, event: events.SequenceStartEvent, path: Path) -> list[Any]:
        self._check_tag(event, "seq", path)
        items: list[Any] = []
        while not isinstance(item := next(self._events), events.SequenceEndEvent):
            items.append(self._read_part(item, (*path, len(items))))
        return items

    def _read_mapping(self, event: events.MappingStartEvent, path: Path) -> dict[str, Any]:
        self._check_tag(event, "map", path)
        mapping = _Mapping()
        while not isinstance(key := next(self._events), events.MappingEndEvent):
            if isinstance(key, events.ScalarEvent) and _is_merge(key):
                self._merge(key, mapping, path)
            else:
                self._read_entry(key, mapping, path)
        return {**mapping.merged, **mapping.own}

    def _read_entry(self, event: events.Event, mapping: _Mapping, path: Path) -> None:
        key = self._read_key(event, path)
        inner = (*path, key)
        if key in mapping.own:
            first = self._lines[inner]
            self._refuse(event, inner, f"This key is there twice, first in line {first}.")
            inner = (*path, f"{key} again")
        self._lines[inner] = _line_of(event)
        content = self._read_part(next(self._events), inner)
        mapping.own.setdefault(key, content)

    def _read_key(self, event: events.Event, path: Path) -> str:
        found = self._read_part(event, (*path, _KEY))
        if isinstance(event, events.ScalarEvent):
            # `on`, a key of `retry`, is a truth value to YAML 1.1, and so are yes, no and off.
            if not isinstance(found, str | bool):
                shown = event.value[:60]
                self._refuse(
                    event,
                    (*path, shown),
                    f"Keys are text, and YAML takes {shown or 'nothing'} for something else; "
                    "put it in quotes.",
                )
            return event.value
        self._refuse(event, path, "Keys are text, not lists or mappings.")
        return f"key in line {_line_of(event)}"

    def _merge(self, event: events.ScalarEvent, mapping: _Mapping, path: Path) -> None:
        found = self._read_part(next(self._events), (*path, _MERGE))
        for other in found if isinstance(found, list) else [found]:
            if isinstance(other, dict):
                for name, content in other.items():
                    mapping.merged.setdefault(name, content)
            else:
                self._refuse(event, (*path, _MERGE), "Only mappings can be merged with `<<`.")

    def _read_scalar(self, event: events.ScalarEvent, path: Path) -> Any:
        tag = self._find_tag(event)
        if tag in _READ_AS_WRITTEN and self._keeps_text(path):
            return event.value
        try:
            return self._construct(event, tag, path)
        except (ValueError, LookupError):
            self._refuse(event, path, f"{event.value[:60]!r} is not a value of the type {tag}.")
            return None

    def _find_tag(self, event: events.ScalarEvent) -> str:
        tag = event.tag
        if tag is None or tag == "!":
            resolve: Callable[..., Any] = self._resolver.resolve
            tag = resolve(ScalarNode, event.value, event.implicit)
        return str(tag).removeprefix(_STANDARD)

    def _construct(self, event: events.ScalarEvent, tag: str, path: Path) -> Any:
        node = ScalarNode(_STANDARD + tag, event.value)
        match tag:
            case "null":
                return None
            case "bool":
                return self._constructor.construct_yaml_bool(node)
            case "int":
                return self._constructor.construct_yaml_int(node)
            case "float":
                return self._check_finite(self._constructor.construct_yaml_float(node), event, path)
            case "str" | "timestamp" | "value" | "merge":
                return self._read_text(event, path)
            case _:
                self._refuse(event, path, f"The tag {_show_tag(tag)} is not known here.")
                return None

    def _read_text(self, event: events.ScalarEvent, path: Path) -> Any:
        is_plain = event.implicit[0] and event.tag is None
        if not is_plain or not _DOTLESS_NUMBER.fullmatch(event.value):
            return event.value
        number = self._check_finite(float(event.value), event, path)
        if not self._is_json and path[-1:] != (_KEY,):
            self._problems.note(
                _line_of(event),
                f"{event.value} was read as a number; other readers of YAML take it for text, "
                f"so {_dot(event.value)} is safer.",
            )
        return number

    def _check_finite(self, number: float, event: events.ScalarEvent, path: Path) -> float | None:
        if math.isfinite(number):
            return number
        self._refuse(event, path, f"Numbers are finite; {event.value[:60]} is not.")
        return None

    def _check_tag(self, event: events.CollectionStartEvent, expected: str, path: Path) -> None:
        tag = (event.tag or "!").removeprefix(_STANDARD)
        if tag not in ("!", expected):
            self._refuse(event, path, f"The tag {_show_tag(tag)} is not known here.")

    def _refuse(self, event: events.Event, path: Path, message: str) -> None:
        self._problems.refuse(".".join(map(str, path)), _line_of(event), message)


def _count_characters(event: events.Event, path: Path) -> int:
    """Of the part and of its dotted path, both of which are told again and again."""
    text = event.value if isinstance(event, events.ScalarEvent) else ""
    return len(text) + sum(len(name) for name in path if isinstance(name, str))


def _line_of(event: events.Event) -> int:
    return 1 if event.start_mark is None else int(event.start_mark.line) + 1


def _is_merge(event: events.ScalarEvent) -> bool:
    return event.value == _MERGE and event.implicit[0] and event.tag is None


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _join_surrogates(text: str) -> str:
    """Writes out what JSON escapes as two halves, which YAML does not know."""
    return _SURROGATES.sub(lambda match: match[1] + json.loads(f'"{match[2]}"'), text)


def _show_tag(tag: str) -> str:
    return tag if tag.startswith("!") else f"!!{tag}"


def _dot(number: str) -> str:
    mantissa, mark, exponent = re.split("([eE])", number)
    if "." not in mantissa:
        mantissa += ".0"
    return f"{mantissa}{mark}{exponent if exponent[0] in '+-' else '+' + exponent}"
