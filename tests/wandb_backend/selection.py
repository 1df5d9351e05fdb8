"""The fields that a GraphQL query selects, and answers cut down to them.

Answers hold what was asked for and nothing else, so a client that forgets a field misses it here
as it would at W&B. Arguments are not read: operations take them from the variables.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.wandb_backend.world import Unknown

_TOKEN = re.compile(r'#[^\n]*|"(?:\\.|[^"\\])*"|\.\.\.|[{}()\[\]:!=@$|]|[\w.+-]+')


@dataclass(slots=True)
class Selection:
    """Of one object: the fields by answered name, and the names of the fragments to add.

    Attributes:
        fields: The field's own name and what is selected of it (None: all of a scalar).
    """

    fields: dict[str, tuple[str, "Selection | None"]] = field(default_factory=dict)
    spreads: list[str] = field(default_factory=list)
    inline: list["Selection"] = field(default_factory=list)


@dataclass(slots=True)
class Document:
    """A parsed query: `kind` is "query" or "mutation"."""

    kind: str = "query"
    name: str = ""
    selection: Selection = field(default_factory=Selection)
    fragments: dict[str, Selection] = field(default_factory=dict)


def parse_document(text: str) -> Document:
    """Reads the first operation of a query and its fragments."""
    tokens = _Tokens(text)
    document = Document()
    while (kind := tokens.peek()) is not None:
        tokens.take()
        if kind == "fragment":
            name = tokens.take()
            tokens.skip_to("{")
            document.fragments[name] = _parse_selection(tokens)
        else:
            document.kind, document.name = kind, tokens.take()
            tokens.skip_to("{")
            document.selection = _parse_selection(tokens)
    return document


def select(document: Document, answer: dict[str, Any]) -> dict[str, Any]:
    """Cuts an answer down to the selected fields. A function in it is called for its value.

    Raises:
        Unknown: The answer has no such field.
    """
    return _select_fields(document, document.selection, answer, document.kind)


class _Tokens:
    def __init__(self, text: str) -> None:
        found = (match.group() for match in _TOKEN.finditer(text))
        self._tokens = [token for token in found if not token.startswith("#")]
        self._next = 0

    def peek(self) -> str | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def take(self) -> str:
        self._next += 1
        return self._tokens[self._next - 1]

    def skip_to(self, wanted: str) -> None:
        """Skips what stands before a selection: variables, their defaults, conditions."""
        while (token := self.peek()) != wanted:
            if token in ("(", "["):
                self.skip_group()
            else:
                self.take()

    def skip_group(self) -> None:
        depth = 0
        while True:
            token = self.take()
            depth += (token in ("(", "[")) - (token in (")", "]"))
            if depth == 0:
                return


def _parse_selection(tokens: _Tokens) -> Selection:
    selection = Selection()
    tokens.take()
    while tokens.peek() != "}":
        if tokens.peek() == "...":
            _parse_spread(tokens, selection)
        else:
            _parse_field(tokens, selection)
    tokens.take()
    return selection


def _parse_spread(tokens: _Tokens, selection: Selection) -> None:
    tokens.take()
    if tokens.peek() in ("on", "{", "@"):
        tokens.skip_to("{")
        selection.inline.append(_parse_selection(tokens))
    else:
        selection.spreads.append(tokens.take())
        _skip_extras(tokens)


def _parse_field(tokens: _Tokens, selection: Selection) -> None:
    answered = name = tokens.take()
    if tokens.peek() == ":":
        tokens.take()
        name = tokens.take()
    _skip_extras(tokens)
    inner = _parse_selection(tokens) if tokens.peek() == "{" else None
    selection.fields[answered] = (name, inner)


def _skip_extras(tokens: _Tokens) -> None:
    while tokens.peek() in ("(", "@"):
        if tokens.peek() == "@":
            tokens.take()
            tokens.take()
        else:
            tokens.skip_group()


def _select(document: Document, inner: Selection | None, value: Any, owner: str) -> Any:
    value = value() if callable(value) else value
    if inner is None or value is None:
        return value
    if isinstance(value, list):
        return [_select(document, inner, each, owner) for each in value]
    return _select_fields(document, inner, value, owner)


def _select_fields(
    document: Document, selection: Selection, value: dict[str, Any], owner: str
) -> dict[str, Any]:
    answer = {}
    for answered, (name, inner) in _list_fields(document, selection):
        if name not in value:
            raise Unknown(f"{owner}.{name}")
        answer[answered] = _select(document, inner, value[name], name)
    return answer


def _list_fields(
    document: Document, selection: Selection
) -> Iterator[tuple[str, tuple[str, Selection | None]]]:
    yield from selection.fields.items()
    for part in [*selection.inline, *(document.fragments[name] for name in selection.spreads)]:
        yield from _list_fields(document, part)
