"""Text that servers can keep: without NUL, and without half of a surrogate pair."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# Of studies, attributes and constraints: what Optuna's columns hold.
LONGEST_NAME = 512

_CONTEXT = 20


def encode_text(text: str) -> bytes:
    """The text in UTF-8.

    Raises:
        ValueError: It contains half of a surrogate pair.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        near = text[max(0, error.start - _CONTEXT) : error.start + _CONTEXT]
        raise ValueError(
            f"Text cannot be sent with half of a surrogate pair in it: {near!r}."
        ) from None


def check_name(name: str, what: str) -> None:
    """Refuses what cannot name an attribute or a constraint.

    Raises:
        ValueError: It is empty, too long, or contains what no server keeps.
    """
    if not 1 <= len(name) <= LONGEST_NAME:
        raise ValueError(
            f"The name of {what} has 1 to {LONGEST_NAME} characters, not {len(name)}: "
            f"{name[:_CONTEXT]!r}."
        )
    check_texts(name, f"the name of {what}")


def check_texts(document: Any, where: str) -> None:
    """Refuses a plain document with text in it that no server keeps.

    Raises:
        ValueError: There is such text.
    """
    for text in _list_texts(document):
        flaw = find_flaw(text)
        if flaw is not None:
            raise ValueError(f"There is {flaw} in {where}: {text[:LONGEST_NAME]!r}.")


def find_flaw(text: str) -> str | None:
    """What it contains that no server keeps."""
    if "\0" in text:
        return "the character NUL"
    return "half of a surrogate pair" if any(map(_is_half, text)) else None


def escape_text(text: str) -> str:
    """The text with what no server keeps as Python would write it."""
    return "".join(ascii(char)[1:-1] if char == "\0" or _is_half(char) else char for char in text)


def _is_half(char: str) -> bool:
    return "\ud800" <= char <= "\udfff"


def _list_texts(document: Any) -> Iterator[str]:
    if isinstance(document, str):
        yield document
    elif isinstance(document, Mapping):
        for name, part in document.items():
            yield name
            yield from _list_texts(part)
    elif isinstance(document, list):
        for part in document:
            yield from _list_texts(part)
