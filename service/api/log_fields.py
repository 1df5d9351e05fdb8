"""What a request is about, for the lines that are logged while it is handled."""

from typing import Any

from starlette.types import Scope

_ATTEMPT = "asktell.attempt"
_LONGEST_NUMBER = 10


def note_attempt(scope: Scope, body: object) -> None:
    """Remembers the attempt that a body names, if it is of a kind that can."""
    attempt = getattr(body, "attempt", None)
    if attempt is not None:
        scope[_ATTEMPT] = attempt


def find_log_fields(scope: Scope) -> dict[str, Any]:
    """Study, trial and attempt, as far as the path and the body have said by now."""
    path_params = scope.get("path_params", {})
    number = path_params.get("number", "")
    found = {
        "study": path_params.get("study"),
        "trial": int(number) if _is_plain_number(number) else None,
        "attempt": scope.get(_ATTEMPT),
    }
    return {name: value for name, value in found.items() if value is not None}


def _is_plain_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER
