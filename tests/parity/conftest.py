"""W&B's `sweeps` package, in an environment of its own because it wants an old numpy."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.other_pythons import find_python

HERE = Path(__file__).parent
SCRIPT = HERE / "ask_sweeps.py"

AskSweeps = Callable[[str, Any], Any]
"""Gives the package a question by its name and what it is about; returns its answer."""


@pytest.fixture(scope="session")
def ask_sweeps() -> AskSweeps:
    python = find_python("sweeps", HERE / "constraints.txt")

    def ask(question: str, about: Any) -> Any:
        # Its own warnings about newer versions of what it uses are no concern of ours.
        command = [python, "-W", "ignore", SCRIPT, question]
        text = json.dumps(about)
        answered = subprocess.run(command, input=text, capture_output=True, text=True)
        assert answered.returncode == 0, answered.stderr
        return json.loads(answered.stdout)

    return ask
