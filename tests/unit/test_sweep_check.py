"""`asktell sweep check`: what it shows of a file, and where it says that one is wrong."""

import json
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from service.cli.sweep import check as sweep_check

GOOD = """method: bayes
metric: {name: accuracy, goal: maximize}
program: train.py
run_cap: 20
parameters:
  lr: {min: 1e-5, max: 0.1, distribution: log_uniform_values}
  size: {min: 1, max: 100, q: 8, distribution: q_uniform}
  seed: {value: 3}
"""
CONDITIONAL = """direction: minimize
space:
  arch: {type: categorical, choices: [mlp, cnn]}
  depth: {type: int, low: 2, high: 8, step: 2, when: {arch: [mlp]}}
pruner: {type: MedianPruner}
launch: {command: [./train, "${args}"], directory: /srv}
"""


def check(tmp_path: Path, text: str, *options: str) -> Result:
    app = typer.Typer()
    app.command("check")(sweep_check.check)
    app.callback()(lambda: None)
    file = tmp_path / "digits.yaml"
    file.write_text(text)
    return CliRunner().invoke(app, ["check", str(file), *options])


def test_shows_what_a_file_of_wandbs_means(tmp_path: Path) -> None:
    result = check(tmp_path, GOOD)

    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.output.splitlines()]
    for line in (
        "objective maximize accuracy",
        "budget max_trials 20, max_failures 10",
        "lr FloatDistribution(1e-05, 0.1, log=True)",
        "size FloatDistribution(1.0, 100.0), to the nearest multiple of 8",
        "seed 3",
        "/usr/bin/env python train.py --seed=3 --lr=1e-05 --size=0",
        "line 1: The method bayes is Optuna's TPESampler here, not a GP.",
        "line 7: Values go from 0 to 96: multiples of q, the nearest ones, as in W&B.",
    ):
        assert line in lines


def test_shows_conditions_and_pruner_of_our_own_form(tmp_path: Path) -> None:
    result = check(tmp_path, CONDITIONAL, "--json")

    assert result.exit_code == 0, result.output
    shown = json.loads(result.output)
    assert shown["dialect"] == "native"
    assert shown["pruner"]["args"]["n_startup_trials"] == 5
    assert shown["parameters"][1] == {
        "name": "depth",
        "distribution": "IntDistribution(2, 8, step=2)",
        "quantum": None,
        "when": {"arch": ["mlp"]},
    }
    assert shown["example"] == {
        "params": {"arch": "mlp", "depth": 2},
        "command": ["./train", "--arch=mlp", "--depth=2"],
    }


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("method: bayes", "method: bayse", "1: method: This must be one of"),
        # Found by the body, the settings, the space, the sampler, the pruner and the executor.
        ("run_cap: 20", "seed: -1", "4: seed: Input should be greater than or equal to 0"),
        ("run_cap: 20", "lease_seconds: null", "4: lease_seconds: A sweep needs one"),
        ("run_cap: 20", "lease_seconds: 0.5", "4: lease_seconds: Input should be"),
        ("run_cap: 20", "directory: here", "4: directory: must be an absolute path"),
        (
            "run_cap: 20",
            "early_terminate: {type: hyperband, max_iter: 2, s: 2}",
            "4: early_terminate: max_iter / eta is below 1",
        ),
        (
            "method: bayes",
            "method: custom\nsampler: {type: GridSampler}",
            '2: sampler: "lr" has endlessly many values',
        ),
        (
            "method: bayes",
            "method: custom\nsampler: {type: CmaEsSampler, args: {popsize: 1}}",
            "2: sampler.args.popsize: This must be at least 2",
        ),
    ],
)
def test_names_line_and_key_of_an_error(tmp_path: Path, old: str, new: str, error: str) -> None:
    result = check(tmp_path, GOOD.replace(old, new))

    assert result.exit_code == 1
    assert f"digits.yaml:{error}" in result.stderr


def test_errors_as_json(tmp_path: Path) -> None:
    result = check(tmp_path, GOOD.replace("goal: maximize", "goal: up"), "--json")

    assert result.exit_code == 1
    (error,) = json.loads(result.stdout)["errors"]
    assert (error["line"], error["key"]) == (2, "metric.goal")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "digits.yaml").mkdir()
    app = typer.Typer()
    app.command()(sweep_check.check)

    result = CliRunner().invoke(app, [str(tmp_path / "digits.yaml")])

    assert result.exit_code == 1
    assert "cannot be read" in result.stderr
