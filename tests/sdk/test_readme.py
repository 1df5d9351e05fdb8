"""The quickstart runs as it is written."""

import re
import subprocess
import sys
from pathlib import Path

from tests.sdk.servers import ServerProcess

README = Path(__file__).parents[2] / "sdk" / "README.md"


def test_the_quickstart_runs(server: ServerProcess, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert len(blocks) == 2
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(blocks)],
        env=server.environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stderr) == (0, "")
    first, second = result.stdout.splitlines()
    assert "'lr'" in first
    assert "'width'" in first
    assert second.startswith("0 COMPLETE {")
