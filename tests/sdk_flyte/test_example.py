"""The example runs as it is."""

import os
import subprocess
import sys
from pathlib import Path

SEARCH = Path(__file__).parents[2] / "examples" / "flyte" / "search.py"


def test_the_search_finds_something(tmp_path: Path) -> None:
    command = [sys.executable, SEARCH]
    # Threads that wait for one another take more time than all they compute.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    params, best = done.stdout.splitlines()
    assert "optimizer.learning_rate" in params
    assert 0.5 < float(best) <= 1
