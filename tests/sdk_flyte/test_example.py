"""The example runs as it is."""

import subprocess
import sys
from pathlib import Path

SEARCH = Path(__file__).parents[2] / "examples" / "flyte" / "search.py"


def test_the_search_finds_something(tmp_path: Path) -> None:
    command = [sys.executable, SEARCH]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    params, best = done.stdout.splitlines()
    assert "optimizer.learning_rate" in params
    assert 0.5 < float(best) <= 1
