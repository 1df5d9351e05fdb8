"""docs/cli.md says what the command line is, and light commands stay light."""

import runpy
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "document_cli.py"
HEAVY = ("alembic", "fastapi", "numpy", "optuna", "psycopg", "pydantic", "sqlalchemy", "yaml")


def test_the_page_is_up_to_date() -> None:
    script = runpy.run_path(str(SCRIPT))
    assert script["PAGE"].read_text() == script["render"](), "run scripts/document_cli.py"


def test_commands_that_talk_to_a_server_load_nothing_heavy() -> None:
    listing = "import sys, service.cli.main; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", listing], capture_output=True, text=True, check=True
    )
    assert sorted({*loaded.stdout.split()} & {*HEAVY}) == []
