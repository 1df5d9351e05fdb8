"""Keeping a library's warnings out of the service's log, one kind at a time."""

import re
import warnings
from functools import cache


def ignore_warning(message: str, category: type[Warning]) -> None:
    """Ignore warnings of `category` whose text starts with the regular expression `message`.

    Idempotent and cheap, so call it just before the code that warns: whatever restores the
    process's filters in between (a test runner, a library) then does not bring the warning back.
    `warnings.catch_warnings` around each call was rejected: it swaps the filters of all threads.
    """
    entry = ("ignore", _compile(message), category, None, 0)  # as filterwarnings() adds it
    if entry not in warnings.filters:
        warnings.filterwarnings("ignore", message=message, category=category)


@cache
def _compile(message: str) -> re.Pattern[str] | None:
    return re.compile(message, re.IGNORECASE) if message else None
