"""Sweep files with Python: what `asktell sweep check` says of them, which runs it."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from service.cli.main import app

BRANCHES = """
def objective(trial):
    if trial.suggest_categorical("kind", ["small", "large"]) == "small":
        trial.suggest_categorical("batch_size", [16, 32])
    else:
        trial.suggest_categorical("batch_size", [128, 256])

def sampler():
    return optuna.samplers.RandomSampler()
"""

LAUNCHED = """
metric: {{name: loss, goal: minimize}}
method: custom
program: train.py
scheduler: {{settings: {{optuna_source: {name}}}}}
"""


def check(folder: Path, python: dict[str, Any], *options: str) -> tuple[int, str]:
    file = folder / "sweep.yaml"
    document = {
        "direction": "minimize",
        "python": python,
        "launch": {"program": "train.py", "command": ["${program}", "${args}"]},
    }
    file.write_text(json.dumps(document))
    result = CliRunner().invoke(app, ["sweep", "check", str(file), *options])
    return result.exit_code, result.output


def test_shows_what_the_code_declares(tmp_path: Path) -> None:
    code, output = check(tmp_path, {"source": BRANCHES}, "--json")

    assert code == 0, output
    found = json.loads(output)
    assert found["sampler"]["type"] == "RandomSampler"
    names = {row["name"] for row in found["parameters"]}
    assert {"kind", "batch_size"} < names
    assert len(names) == 3
    assert found["example"]["params"].keys() == {"kind", "batch_size"}
    assert "declared in 20 trials" in check(tmp_path, {"source": BRANCHES})[1]


def test_tells_what_of_the_code_nobody_follows(tmp_path: Path) -> None:
    study = "\ndef study():\n    return optuna.create_study()\n"
    code, output = check(tmp_path, {"source": BRANCHES + study})

    assert code == 0, output
    assert "sampler() is not called: study() says sampler and pruner." in output


def test_a_pipe_is_no_source(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "space.py")
    file = tmp_path / "sweep.yaml"
    file.write_text(LAUNCHED.format(name="space.py"))
    result = CliRunner().invoke(app, ["sweep", "check", str(file)])

    assert result.exit_code == 2
    assert "space.py cannot be read: it is not a file." in result.stderr


@pytest.mark.parametrize("source", ["", "x = 1\n" * 50_000], ids=["empty", "too long"])
def test_a_source_that_is_not_taken_is_the_only_problem(tmp_path: Path, source: str) -> None:
    (tmp_path / "space.py").write_text(source)
    file = tmp_path / "sweep.yaml"
    file.write_text(LAUNCHED.format(name="space.py"))
    result = CliRunner().invoke(app, ["sweep", "check", str(file)])

    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert "scheduler.settings.optuna_source: This must " in line


@pytest.mark.parametrize(
    ("python", "key", "words"),
    [
        ({"source": "def objective(trial:"}, "python.source", "SyntaxError"),
        ({"source": "def objective(trial):\n    trial.suggest_int('n', 2, 1)"}, "source", "Line 2"),
        ({"source": BRANCHES, "pruner": "end_early"}, "python.pruner", "end_early"),
        ({"source": BRANCHES, "pruner": "a b"}, "python.pruner", "name of a function"),
        ({"source": "space.py"}, "python.source", "text itself"),
        ({}, "python.source", "missing"),
    ],
    ids=["syntax", "range", "missing function", "no name", "path", "no source"],
)
def test_names_the_key_of_what_is_wrong(
    tmp_path: Path, python: dict[str, Any], key: str, words: str
) -> None:
    code, output = check(tmp_path, python)

    assert code != 0
    assert key in output
    assert words in output
