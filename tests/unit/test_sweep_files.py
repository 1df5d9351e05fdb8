"""Sweep files: what each key becomes, where it came from, and what the user is told."""

from typing import Any

import pytest

from service.api.sweep_bodies import CreateSweepBody
from service.domain.commands import MACROS, find_macro_problem
from service.schedulers.executors.process.commands import CommandContext, build_command
from service.sweep_files import Defaults, Dialect, read_sweep_file
from tests.unit.sweep_file_use import SMALLEST

LARGE = """# Everything at once.
apiVersion: v1
kind: sweep
method: bayes
name: 2026-01
description: on
entity: us
project: them
controller: {type: local}
metric: {name: accuracy, goal: maximize, target: 0.99, impute: latest}
run_cap: 20
early_terminate:
  type: hyperband
  max_iter: 27
  s: 2.0
program: train.py
command: ["${env}", python, "${program}", --lr0, 1e-5, 5, "${args}", "--home=${envvar:HOME}"]
parallelism: 4
seed: 7
lease_seconds: 60
retry: {max_attempts: 2}
budget: {max_failures: 3}
queue: gpu
timeout_seconds: 3600
stop_seconds: 5
directory: /srv/train
step_metric: epoch
parameters:
  n: {values: [1, 2]}
"""


def test_the_smallest_sweep() -> None:
    assert read_sweep_file(SMALLEST).document == {
        "sampler": {"type": "RandomSampler"},
        "objectives": [{"name": "loss", "direction": "minimize"}],
        "space": {"n": {"type": "categorical", "choices": [1, 2]}},
        "launch": {"executor": "process", "program": "train.py"},
    }


def test_everything_at_once() -> None:
    file = read_sweep_file(LARGE)

    assert file.dialect is Dialect.WANDB
    assert file.document == {
        "name": "2026-01",
        "user_attrs": {"description": "on"},
        "sampler": {
            "type": "ImputingSampler",
            "args": {"base_sampler": {"type": "TPESampler"}, "failed": "latest"},
        },
        "objectives": [{"name": "accuracy", "direction": "maximize"}],
        "budget": {"target": 0.99, "max_failures": 3, "max_trials": 20},
        "space": {"n": {"type": "categorical", "choices": [1, 2]}},
        "pruner": {
            "type": "WandbHyperbandPruner",
            "args": {"max_iter": 27, "s": 2, "eta": 3, "strict": True},
        },
        "parallelism": 4,
        "seed": 7,
        "lease_seconds": 60,
        "retry": {"max_attempts": 2},
        "launch": {
            "executor": "process",
            "program": "train.py",
            "command": [
                "${env}",
                "python",
                "${program}",
                "--lr0",
                "1e-5",
                "5",
                "${args}",
                "--home=${envvar:HOME}",
            ],
            "queue": "gpu",
            "timeout_seconds": 3600,
            "stop_seconds": 5,
            "directory": "/srv/train",
            "step_metric": "epoch",
        },
    }
    assert [note.partition(":")[0] for note in file.notes] == [
        f"line {n}" for n in (2, 3, 4, 7, 8, 9)
    ]
    CreateSweepBody.model_validate(file.document)


def test_several_metrics_are_several_objectives() -> None:
    text = SMALLEST.replace("random", "custom").replace(
        "metric: {name: loss}", "metrics: [{name: loss}, {name: size, goal: maximize}]"
    )

    assert read_sweep_file(text).document["objectives"] == [
        {"name": "loss", "direction": "minimize"},
        {"name": "size", "direction": "maximize"},
    ]


@pytest.mark.parametrize(
    ("keys", "budget"),
    [
        ("budget: null", {"max_failures": None}),
        ("budget: null\nrun_cap: 5", {"max_failures": None, "max_trials": 5}),
        ("budget: {}", None),
    ],
)
def test_no_budget_is_no_limit(keys: str, budget: Any) -> None:
    document = read_sweep_file(SMALLEST + keys).document

    assert document.get("budget") == budget
    body = CreateSweepBody.model_validate({"name": "a"} | document)
    assert body.budget is not None
    assert body.budget.max_failures == (10 if budget is None else None)


@pytest.mark.parametrize(
    "text",
    [
        f"{SMALLEST}executor: wandb\nwandb: {{sweep: true}}\n",
        "objectives: [{name: loss, direction: minimize}]\n"
        "launch: {executor: wandb, program: train.py, sweep: true}\n",
    ],
)
def test_sweep_on_wandb_for_offline_runs_is_none(text: str) -> None:
    (note,) = read_sweep_file(text, Defaults(mode="offline")).notes
    assert "have no sweep on W&B, so this has no effect" in note
    assert not read_sweep_file(text).notes


@pytest.mark.parametrize("key", ["queue", "directory", "timeout_seconds", "stop_seconds"])
def test_null_is_said_to_whoever_takes_the_body(key: str) -> None:
    assert read_sweep_file(f"{SMALLEST}{key}: null\n").document["launch"][key] is None


@pytest.mark.parametrize(
    "keys",
    [
        "program: train.py\nexecutor: wandb-agent\n",
        "job: acme/digits/train:v1\nproject: digits\nlaunch: {queue: gpu}\n",
    ],
)
def test_how_long_a_run_may_take_to_begin(keys: str) -> None:
    sweep = SMALLEST.replace("program: train.py\n", keys)
    text = f"{sweep}wandb: {{start_timeout_seconds: 900}}\n"
    assert read_sweep_file(text).document["launch"]["start_timeout_seconds"] == 900


def test_what_the_file_leaves_open_is_filled_in() -> None:
    named = SMALLEST + "name: mine\ndirectory: /srv\n"

    open_ = read_sweep_file(SMALLEST, Defaults(name="given", directory="/home"))
    closed = read_sweep_file(named, Defaults(name="given", directory="/home"))

    assert (open_.name, open_.document["launch"]["directory"]) == ("given", "/home")
    assert (closed.name, closed.document["launch"]["directory"]) == ("mine", "/srv")
    assert read_sweep_file(SMALLEST).name is None


def test_errors_about_the_document_find_their_lines() -> None:
    text = SMALLEST + (
        "  lr: {min: 0.1, max: 1.0}\n"
        "  opt:\n"
        "    parameters:\n"
        "      name:\n"
        "        values: [adam, sgd]\n"
        "  space: {value: 1}\n"
        "run_cap: 5\n"
        "budget: {patience: 3}\n"
        "early_terminate: {type: hyperband, min_iter: 3}\n"
    )
    file = read_sweep_file(text)

    found = {
        path: (place.key, place.line) if place else None
        for path in (
            "lr.low",
            "space.lr.step",
            "opt.name.choices.1",
            "space.space",
            "budget.max_trials",
            "budget.patience",
            "pruner.args.eta",
            "sampler.args.search_space.n",
            "objectives.0.name",
            "launch.program",
            "seed",
        )
        for place in [file.find_place(path)]
    }
    assert found == {
        "lr.low": ("parameters.lr.min", 6),
        "space.lr.step": ("parameters.lr", 6),
        "opt.name.choices.1": ("parameters.opt.parameters.name.values.1", 10),
        "space.space": ("parameters.space", 11),
        "budget.max_trials": ("run_cap", 12),
        "budget.patience": ("budget.patience", 13),
        "pruner.args.eta": ("early_terminate.eta", 14),
        "sampler.args.search_space.n": ("method", 1),
        "objectives.0.name": ("metric.name", 2),
        "launch.program": ("program", 3),
        "seed": None,
    }
    assert file.find_line("lr.low") == 6
    assert file.find_line("seed") is None


@pytest.mark.parametrize("macro", [*MACROS, "envvar:HOME"])
def test_executors_know_every_macro(macro: str) -> None:
    context = CommandContext("train.py", "python", {"HOME": "/home/ada"}, "args.json")

    command = build_command(["run", f"${{{macro}}}"], {"lr": 0.1}, context)

    assert find_macro_problem(f"${{{macro}}}") is None
    assert not any("${" in word for word in command.argv)
