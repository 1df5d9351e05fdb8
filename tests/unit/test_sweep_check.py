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
  noise: {distribution: normal, mu: 1}
  rate: {distribution: q_beta, b: 3, q: 0.1}
  net: {values: [[8], {d: 1}]}
  kind: {values: [a, b], probabilities: [0.25, 0.75]}
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
        "noise normal(mu=1, sigma=1.0)",
        "rate beta(a=1.0, b=3), to the nearest multiple of 0.1",
        'net one of [8], {"d": 1}',
        'kind one of "a" (0.25), "b" (0.75)',
        "seed 3",
        "/usr/bin/env python train.py --seed=3 --kind=a --lr=1e-05 '--net=[8]' --noise=1.0 "
        "--rate=0.2 --size=0",
        "line 1: The method bayes is Optuna's TPESampler here; a server with torch may take "
        "GPSampler.",
        "line 7: Values go from 0 to 96: multiples of q, the nearest ones, as in W&B.",
    ):
        assert line in lines


def test_shows_what_is_launched_at_wandb(tmp_path: Path) -> None:
    file = (
        "{direction: minimize, launch: {executor: wandb-launch, job: 'a/p/train:latest', "
        "launch_queue: gpus, launch_queue_project: pool, project: p}}"
    )
    lines = [" ".join(line.split()) for line in check(tmp_path, file).output.splitlines()]

    for line in ("job a/p/train:latest", "launch_queue gpus", "launch_queue_project pool"):
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
        "reading": None,
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
        ("run_cap: 20", "seed: -1", "4: seed: This must be at least 0, not -1."),
        ("run_cap: 20", "lease_seconds: null", "4: lease_seconds: A sweep needs one"),
        ("run_cap: 20", "lease_seconds: 0.5", "4: lease_seconds: This must be at least 1"),
        ("seed: {value: 3}", "seed: {value: 3, values: [3]}", "12: parameters.seed.value: The dis"),
        ("run_cap: 20", "directory: here", "4: directory: This must be an absolute path"),
        (
            "run_cap: 20",
            "early_terminate: {type: hyperband, max_iter: 2, s: 2}",
            "4: early_terminate: max_iter / eta is below 1",
        ),
        (
            "method: bayes",
            "method: custom\nsampler: {type: GridSampler}",
            '2: sampler: "kind" has endlessly many values',
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

    assert result.exit_code == 2
    assert f"digits.yaml:{error}" in result.stderr


BAD = """method: custom
metric: {name: loss, target: low}
program: 5
executor: wandb
project: a/b
seed: 1.5
sampler: {type: TPESampler, args: {multivarate: true}}
pruner: {type: MedainPruner}
retry: {on: [bored]}
budget: {patience: 0, target: 1}
queue: ""
stop_seconds: -1
parameters:
  n: {values: [1, 2], probabilities: [1, 1]}
wandb:
  mod: offline
  mode: disabled
  value: mean
  tags: [a, "b,c"]
  group: 2026
  sweep: 1
"""
BAD_ERRORS = """2: metric.target: This must be a number, not "low".
5: project: This must have no spaces, and none of / \\ # ? % :.
6: seed: This must be an integer, not 1.5.
7: sampler.args.multivarate: There is no argument "multivarate".
8: pruner.type: There is no pruner "MedainPruner". Did you mean "MedianPruner"?
9: retry.on.0: This must be lost, preempted or failed, not "bored".
10: budget.target: The metric has a target; leave one out.
10: budget.patience: This must be at least 1, not 0.
11: queue: This must not be empty.
12: stop_seconds: This must be at least 0, not -1.
14: parameters.n.probabilities: Probabilities sum to 1, but these sum to 2.
16: wandb.mod: This key is not known here. Did you mean "mode"?
17: wandb.mode: This must be online or offline, not "disabled".
18: wandb.value: This must be last, best or summary, not "mean".
19: wandb.tags.1: This must not contain a comma; give several tags instead.
21: wandb.sweep: This must be true or false, not 1.
"""
BAD_QUEUE = """objectives: [{name: loss, direction: down}, {direction: minimize}]
space: {x: {type: float, low: 2, high: 1}}
sampler: {type: TPESampler, args: {n_startup_trials: -1}}
pruner: {type: MedianPruner}
lease_seconds: null
budget: {target: 1}
launch:
  executor: wandb-launch
  image: train:1
  priority: 4
  project: numbers
"""
BAD_QUEUE_ERRORS = """1: objectives.0.direction: This must be minimize or maximize, not "down".
1: objectives.1.name: This is missing.
2: space.x: "low" must not be
3: sampler.args.n_startup_trials: This must be at least 0
4: pruner: A study with several objectives cannot prune; leave the pruner out.
5: lease_seconds: A sweep needs one
6: budget.target: With several objectives there is no best value; leave it out.
7: launch.launch_queue: This is missing.
10: launch.priority: This must be at most 3, not 4.
"""


@pytest.mark.parametrize(("text", "errors"), [(BAD, BAD_ERRORS), (BAD_QUEUE, BAD_QUEUE_ERRORS)])
def test_says_all_that_is_wrong_at_once(tmp_path: Path, text: str, errors: str) -> None:
    result = check(tmp_path, text)

    assert result.exit_code == 2
    found = [line.partition("digits.yaml:")[2] for line in result.stderr.splitlines()]
    expected = errors.splitlines()
    assert [line[: len(want)] for line, want in zip(found, expected, strict=True)] == expected


def test_a_grid_is_not_blamed_for_parameters_that_are_wrong(tmp_path: Path) -> None:
    native = "direction: minimize\nlaunch: {program: a}\nsampler: {type: GridSampler}\nspace: 5\n"
    without = GOOD.partition("parameters:")[0].replace("bayes", "grid")

    assert check(tmp_path, native).stderr.count("\n") == 1
    assert check(tmp_path, without).stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--mode", "offline"], "--mode is for --executor wandb."),
        (["--project", "p"], "--project is for --executor wandb or wandb-launch or wandb-agent."),
        (["--executor", "wandb", "--project", "a/b"], "--project must have no spaces"),
        (["--executor", "wandb-launch"], "--executor needs `job` or `image_uri`"),
    ],
)
def test_blames_an_option_and_not_the_file(tmp_path: Path, options: list[str], error: str) -> None:
    result = check(tmp_path, GOOD, *options)

    assert result.exit_code == 2
    assert result.stderr.startswith(f"asktell: {error}")
    assert result.stderr.count("\n") == 1


def test_an_option_is_not_judged_by_an_executor_that_is_wrong(tmp_path: Path) -> None:
    result = check(tmp_path, GOOD + "executor: wanbd\n", "--mode", "offline")

    assert result.exit_code == 2
    assert "executor: There is no executor" in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_option_may_stand_for_what_the_file_has_wrong(tmp_path: Path) -> None:
    text = GOOD + "executor: wandb\nproject: a/b\n"

    assert check(tmp_path, text).exit_code == 2
    assert check(tmp_path, text, "--project", "p").exit_code == 0


def test_a_name_may_be_left_open(tmp_path: Path) -> None:
    assert check(tmp_path, CONDITIONAL + "name: null\n").exit_code == 0


def test_errors_as_json(tmp_path: Path) -> None:
    result = check(tmp_path, GOOD.replace("goal: maximize", "goal: up"), "--json")

    assert result.exit_code == 2
    (error,) = json.loads(result.stdout)["errors"]
    assert (error["line"], error["key"]) == (2, "metric.goal")


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "digits.yaml"
    file.write_bytes(b"method: bayes\nname: \xe4\n")
    app = typer.Typer()
    app.command()(sweep_check.check)

    result = CliRunner().invoke(app, [str(file)])

    assert result.exit_code == 2
    assert result.stderr == f"{file}:2: file: This is not UTF-8; save the file as UTF-8.\n"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "digits.yaml").mkdir()
    app = typer.Typer()
    app.command()(sweep_check.check)

    result = CliRunner().invoke(app, [str(tmp_path / "digits.yaml")])

    assert result.exit_code == 2
    assert "cannot be read" in result.stderr
