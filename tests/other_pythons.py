"""Pythons that have packages which do not go with ours, each in an environment of its own."""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest


def find_python(name: str, pins: Path, *, has_ours: bool = False) -> Path:
    """The Python of an environment that is made once for these pins, and kept beside that of tests.

    Where it cannot be made the test is skipped; in CI it fails.

    Args:
        name: Begins the name of its folder.
        pins: Requirements: its packages and all that they need, with their versions.
        has_ours: Whether it can import what these tests can, too; its own come first.
    """
    digest = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = Path(sys.prefix) / f"{name}-{digest}"
    if not folder.exists():
        _make(folder, pins, has_ours=has_ours)
    return folder / "bin" / "python"


def _make(folder: Path, pins: Path, *, has_ours: bool) -> None:
    making = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=folder.parent))
    try:
        _install(making, pins)
        if has_ours:
            _add_ours(making)
        # Two sessions may come here at once; the later one uses what the other has made.
        with suppress(OSError):
            making.rename(folder)
    except subprocess.CalledProcessError as error:
        reason = f"What {pins} names could not be installed: {error.stderr.strip()[-300:]}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _install(folder: Path, pins: Path) -> None:
    make = [sys.executable, "-m", "venv", "--without-pip", folder]
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install"]
    options = ["--quiet", "--no-deps", "--no-compile", "--only-binary", ":all:"]
    for command in (make, [*pip, *options, "--requirement", pins]):
        subprocess.run(command, check=True, capture_output=True, text=True)


def _add_ours(folder: Path) -> None:
    # A path alone would not do for packages that are installed as editable.
    ours = sysconfig.get_path("purelib")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    file = folder / "lib" / version / "site-packages" / "ours.pth"
    file.write_text(f"import site; site.addsitedir({ours!r})\n")
