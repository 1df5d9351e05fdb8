"""What the shapes of bodies say of a value, in the words of sweep files."""

import re
from typing import Any

from service.search_space import describe

_QUOTED = re.compile(r"'(\w+)'")
# Pydantic's messages, and those of our own fields, which continue the name of a key.
_WORDS = tuple(
    (re.compile(theirs, re.DOTALL), ours)
    for theirs, ours in (
        (r"Field required", "This is missing."),
        (r"Input should be a valid string", "This must be text{given}."),
        (r"Input should be a valid integer.*", "This must be an integer{given}."),
        (r"Input should be a (?:valid|finite) number.*", "This must be a number{given}."),
        (r"Input should be a valid boolean.*", "This must be true or false{given}."),
        (r"Input should be a valid (?:list|frozenset)", "This must be a list{given}."),
        (r"Input should be a valid dictionary.*", "This must be a mapping{given}."),
        (r"Input should be greater than or equal to (.+)", r"This must be at least \1{given}."),
        (r"Input should be less than or equal to (.+)", r"This must be at most \1{given}."),
        (r"Input should be (.+)", r"This must be \1{given}."),
        (r"\w+ should have at least 1 .*", "This must not be empty."),
        (r"\w+ should have at most (\d+) .*", r"This must have at most \1 {parts}."),
        (r"(must .+)", r"This \1."),
    )
)


def to_words(message: str, value: Any) -> str:
    """Returns a message about a value of a sweep file as a sentence of ours.

    Args:
        value: What is refused.
    """
    for theirs, ours in _WORDS:
        if match := theirs.fullmatch(message):
            words = _QUOTED.sub(r"\1", match.expand(ours))
            parts = "characters" if isinstance(value, str) else "items"
            return words.replace("{parts}", parts).replace("{given}", f", not {describe(value)}")
    return message
