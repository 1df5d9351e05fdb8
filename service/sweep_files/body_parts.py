"""Parts of the body of `POST /sweeps` that a file has as they are there."""

from collections.abc import Iterator
from typing import Any

from service.sweep_files.documents import Path
from service.sweep_files.draft import Draft

KEYS_OF_OBJECTIVE = ("name", "direction")
KEYS_OF_PARTS = {
    "budget": ("max_trials", "max_seconds", "max_failures", "target", "patience"),
    "retry": ("max_attempts", "on", "mode"),
    "sampler": ("type", "args"),
    "pruner": ("type", "args"),
    "python": (
        "source",
        "objective",
        "search_space",
        "optimizer",
        "sampler",
        "pruner",
        "study",
    ),
}


def take_over_part(draft: Draft, key: str) -> None:
    """Takes over what stands under a key; keys in it that are not known are problems."""
    refuse_unknown_in_part(draft, key)
    draft.take_over((key,), (key,))


def refuse_unknown_in_part(draft: Draft, key: str) -> None:
    """Adds a problem for every key in a part that is not known there.

    What is in a search space or the arguments of a component is known to others.
    """
    for path, found, known in _list_groups(key, draft.source.content[key]):
        if isinstance(found, dict):
            draft.refuse_unknown(path, found, known)


def _list_groups(key: str, content: Any) -> Iterator[tuple[Path, Any, tuple[str, ...]]]:
    if key in KEYS_OF_PARTS:
        yield (key,), content, KEYS_OF_PARTS[key]
    elif key == "objectives" and isinstance(content, list):
        for index, objective in enumerate(content):
            yield (key, index), objective, KEYS_OF_OBJECTIVE
