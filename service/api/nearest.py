"""What to say of a name that nobody knows: the known one nearest to it."""

import difflib
from collections.abc import Collection

_MOST_SHOWN = 30


def describe_unknown(kind: str, name: str, known: Collection[str]) -> str:
    """Why a name is refused, and what was probably meant.

    Args:
        kind: What it would be a name of, such as "field".
    """
    nearest = difflib.get_close_matches(name, known, n=1)
    if nearest:
        return f'unknown {kind}; did you mean "{nearest[0]}"?'
    if not known:
        return f"unknown {kind}"
    more = len(known) - _MOST_SHOWN
    shown = [*known][:_MOST_SHOWN] + ([f"{more} more"] if more > 0 else [])
    return f"unknown {kind}; known are {', '.join(shown)}"
