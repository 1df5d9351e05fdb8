"""The published plugin, in an environment of its own because it forces Optuna 4."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.other_pythons import find_python

HERE = Path(__file__).parent
SCRIPT = HERE / "scenario.py"

Results = dict[str, Any]
"""What each case of the scenario came to."""

# One process for several modules: to import flytekit takes longer than all cases.
PLAY = """
import runpy, sys
folder, script, *modules = sys.argv[1:]
sys.path.insert(0, folder)
for module in modules:
    sys.argv[1:] = [module]
    runpy.run_path(script, run_name="__main__")
    print()
"""


@dataclass(frozen=True, slots=True)
class Played:
    """The scenario as it came out with each implementation."""

    theirs: Results
    ours: Results
    ours_with_optuna_4: Results


@pytest.fixture(scope="session")
def plugin_python() -> Path:
    """A Python that has the plugin and Optuna 4, and ours too."""
    return find_python("flyteplugin", HERE / "constraints.txt", has_ours=True)


@pytest.fixture(scope="session")
def played(plugin_python: Path) -> Played:
    theirs, ours_with_optuna_4 = play(plugin_python, "flytekitplugins.optuna", "asktell.flyte")
    (ours,) = play(Path(sys.executable), "asktell.flyte")
    return Played(theirs, ours, ours_with_optuna_4)


def play(python: Path, *modules: str) -> list[Results]:
    command = [python, "-W", "ignore", "-c", PLAY, HERE, SCRIPT, *modules]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
