"""The published plugin, in an environment of its own because it forces Optuna 4."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
PINS = HERE / "constraints.txt"
SCRIPT = HERE / "scenario.py"

Play = Callable[[Path, str], dict[str, Any]]
"""Plays the scenario with a Python and a module's name; returns what the cases came to."""


@pytest.fixture(scope="session")
def play() -> Play:
    def run(python: Path, module: str) -> dict[str, Any]:
        command = [python, "-W", "ignore", SCRIPT, module]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    return run


@pytest.fixture(scope="session")
def plugin_python() -> Path:
    """A Python that has the plugin and Optuna 4, and ours too."""
    pins = PINS.read_bytes() + sys.version.encode()
    folder = Path(sys.prefix) / f"flyteplugin-{hashlib.sha256(pins).hexdigest()[:12]}"
    if not folder.exists():
        _make_environment(folder)
    return folder / "bin" / "python"


def _make_environment(folder: Path) -> None:
    making = Path(tempfile.mkdtemp(prefix="flyteplugin-", dir=folder.parent))
    try:
        _install(making)
        # Two sessions may come here at once; the later one uses what the other has made.
        with suppress(OSError):
            making.rename(folder)
    except subprocess.CalledProcessError as error:
        reason = f"flytekitplugins-optuna could not be installed: {error.stderr.strip()[-300:]}"
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
    # After its own packages, so that its Optuna comes first; `addsitedir` for the editable ones.
    ours = sysconfig.get_path("purelib")
    inherit = f"import site; site.addsitedir({ours!r})\n"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (folder / "lib" / version / "site-packages" / "ours.pth").write_text(inherit)
