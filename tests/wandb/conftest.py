"""The real W&B SDK beside a stand-in for its backend, or without any."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.wandb_backend import Backend


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    """A backend for all tests of a module: use a project or run ids of the test's own.

    The tests fail if something came that it does not know.
    """
    with Backend() as backend:
        yield backend
        assert backend.unknown == [], "Teach tests/wandb_backend what the SDK asked for."


@pytest.fixture
def other_backend() -> Iterator[Backend]:
    """One that may be asked for what it does not know."""
    with Backend() as backend:
        yield backend


@pytest.fixture
def wandb_environment(tmp_path: Path, backend: Backend) -> Iterator[dict[str, str]]:
    """The WANDB_* variables of programs that use the backend, and nobody's folders or key.

    Faults of the backend end with the test.
    """
    yield backend.build_environment() | _build_folders(tmp_path)
    backend.recover()


@pytest.fixture
def offline_environment(tmp_path: Path) -> dict[str, str]:
    """The WANDB_* variables of programs that have no W&B: no address, no key."""
    quiet = {"WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false"}
    return quiet | _build_folders(tmp_path)


def _build_folders(tmp_path: Path) -> dict[str, str]:
    folders = {name: tmp_path / f"wandb-{name}" for name in ("cache", "config", "data")}
    for folder in folders.values():
        folder.mkdir(exist_ok=True)
    return {
        "WANDB_DIR": str(tmp_path),
        **{f"WANDB_{name.upper()}_DIR": str(folder) for name, folder in folders.items()},
    }
