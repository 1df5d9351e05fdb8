"""The processes in which what users wrote runs."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path


def list_sessions() -> list[int]:
    """Processes of the sandbox that have started no others, this process's offspring."""
    parents = dict(_list_sealed())
    return [
        process
        for process, parent in parents.items()
        if process not in parents.values() and _is_ours(parent, parents)
    ]


def _list_sealed() -> Iterator[tuple[int, int]]:
    """All of them, with their parents."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            command = (folder / "cmdline").read_bytes()
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            if b"service.sandbox.inside.zygote" in command:
                yield int(folder.name), int(parent)


def _is_ours(process: int, parents: Mapping[int, int]) -> bool:
    while process in parents:
        process = parents[process]
    return process == os.getpid()
