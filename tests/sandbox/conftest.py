"""One sandbox for most tests: limits that a busy machine does not reach by itself."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.sandbox import Sandbox, SandboxLimits

LIMITS = SandboxLimits(
    seconds=60,
    total_seconds=120,
    cpu_seconds=1,
    output_bytes=10_000,
    messages=50,
    message_bytes=50_000,
    total_message_bytes=200_000,
    choices=100,
)


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(LIMITS) as opened:
        assert opened.is_contained
        yield opened


@pytest.fixture
def nothing_left(sandbox: Sandbox) -> Iterator[None]:
    """Fail the test if a process that it made is still there."""
    before = list_sandbox_processes()
    yield
    assert list_sandbox_processes() == before


def list_sandbox_processes() -> set[int]:
    """Return every process that has the command line of a zygote, or was forked from one."""
    return {int(folder.name) for folder in Path("/proc").glob("[0-9]*") if _is_ours(folder)}


def _is_ours(folder: Path) -> bool:
    try:
        words = (folder / "cmdline").read_bytes()
        return b"service.sandbox.inside" in words and _descends_from(int(folder.name), os.getpid())
    except (FileNotFoundError, ProcessLookupError):
        return False


def _descends_from(process: int, ancestor: int) -> bool:
    while process > 1:
        if process == ancestor:
            return True
        # The name in parentheses may have spaces; the parent is the second word after it.
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    return False
