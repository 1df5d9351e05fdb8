"""Values as words for people: numbers, times, parameters, texts from elsewhere."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any


def describe_params(params: Mapping[str, Any]) -> str:
    """Parameters in one line."""
    return "  ".join(
        f"{to_line(name)}={to_line(format_value(value))}" for name, value in flatten(params)
    )


def to_line(text: str) -> str:
    """Text from elsewhere as one line that does nothing to a terminal."""
    words = " ".join(text.split())
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in words
    )


def flatten(params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Parameters by name, those of groups with dots."""
    for name, value in sorted(params.items()):
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def format_number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def format_value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def format_duration(seconds: float) -> str:
    """A time to wait, as roughly as it is known."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def format_took(seconds: float) -> str:
    """A time that is over, as the pages have it (`formatDuration` in static/times.js)."""
    if seconds < 0.1:
        return f"{round(seconds * 1000)} ms"
    if seconds < 10:
        return f"{seconds:#.2g}".removesuffix(".") + " s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole // 60 % 60} min"


def format_age(moment: datetime | None, now: datetime) -> str:
    """How long ago that was."""
    return "-" if moment is None else format_duration(max(0.0, (now - moment).total_seconds()))
