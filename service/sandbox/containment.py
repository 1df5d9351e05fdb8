"""What keeps user files in, in words."""

from collections.abc import Mapping

_SENTENCES: Mapping[str, tuple[str, str]] = {
    "network": ("has no network interface", "sees the network's interfaces"),
    "calls": (
        "can make no system calls but those of plain computing: no sockets, no new processes",
        "can make any system call",
    ),
    "own files": (
        "sees a file system that has Python's own folders only",
        "sees the machine's file system",
    ),
    "landlock": (
        "can read Python's own folders only, and write nothing",
        "can read and write what its user can",
    ),
    "processes": (
        "sees no process but its own, and none outlives its call",
        "sees other processes",
    ),
    "user": ("has a user namespace of its own", "has no user namespace of its own"),
    "ipc": ("shares no memory or queues with others", "shares System V memory and queues"),
    "new rights": ("can gain no rights by starting programs", "may gain rights by programs"),
    "limits": (
        "has limits on memory, processor time, file size and open files",
        "has no limits on memory and processor time",
    ),
    "memory": (
        "is ended before others when the machine has no memory left",
        "may take memory that others need",
    ),
}
_CUT_NETWORK = ("network", "calls")
_KEEP_FILES = ("own files", "landlock")


def describe_ways(facts: Mapping[str, str]) -> list[str]:
    """Return a sentence for each way of containment, those in force first."""
    ordered = sorted(_SENTENCES, key=lambda way: bool(facts[way]))
    return [_describe_way(way, facts[way]) for way in ordered]


def cuts_network(facts: Mapping[str, str]) -> bool:
    """Tell whether at least one way keeps user files from the network."""
    return any(not facts[way] for way in _CUT_NETWORK)


def contains_files(facts: Mapping[str, str]) -> bool:
    """Tell whether at least one way keeps user files from what else there is to read."""
    return any(not facts[way] for way in _KEEP_FILES)


def _describe_way(way: str, problem: str) -> str:
    in_force, missing = _SENTENCES[way]
    if problem:
        return f"Not in force: a user file {missing} ({problem})."
    return f"In force: a user file {in_force}."
