"""W&B's `sweeps` package, in an environment of its own because it wants an old numpy."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
PINS = HERE / "constraints.txt"
SCRIPT = HERE / "ask_sweeps.py"

AskSweeps = Callable[[str, Any], Any]
"""Gives the package a question by its name and what it is about; returns its answer."""


@pytest.fixture(scope="session")
def ask_sweeps() -> AskSweeps:
    python = _find_environment() / "bin" / "python"

    def ask(question: str, about: Any) -> Any:
        # Its own warnings about newer versions of what it uses are no concern of ours.
        command = [python, "-W", "ignore", SCRIPT, question]
        text = json.dumps(about)
        answered = subprocess.run(command, input=text, capture_output=True, text=True)
        assert answered.returncode == 0, answered.stderr
        return json.loads(answered.stdout)

    return ask


def _find_environment() -> Path:
    """Returns the folder of the environment, which is made once for these pins."""
    pins = PINS.read_bytes() + sys.version.encode()
    folder = Path(sys.prefix) / f"sweeps-{hashlib.sha256(pins).hexdigest()[:12]}"
    if not folder.exists():
        _make_environment(folder)
    return folder


def _make_environment(folder: Path) -> None:
    making = Path(tempfile.mkdtemp(prefix="sweeps-", dir=folder.parent))
    try:
        _install(making)
        # Two sessions may come here at once; the later one uses what the other has made.
        with suppress(OSError):
            making.rename(folder)
    except subprocess.CalledProcessError as error:
        reason = f"W&B's sweeps package could not be installed: {error.stderr.strip()[-300:]}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _install(folder: Path) -> None:
    make = [sys.executable, "-m", "venv", "--without-pip", folder]
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install"]
    options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--requirement", PINS]
    for command in (make, [*pip, *options]):
        subprocess.run(command, check=True, capture_output=True, text=True)
