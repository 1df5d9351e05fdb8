"""What to say of a name that nobody knows: the known one nearest to it."""

import difflib
from collections.abc import Collection


def describe_unknown(kind: str, name: str, known: Collection[str]) -> str:
    """Why a name is refused, and what was probably meant.

    Args:
        kind: What it would be a name of, such as "field".
    """
    nearest = difflib.get_close_matches(name, known, n=1)
    if nearest:
        return f'unknown {kind}; did you mean "{nearest[0]}"?'
    return f"unknown {kind}; known are {', '.join(known)}" if known else f"unknown {kind}"
