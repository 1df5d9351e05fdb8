"""Sweep files: what they say about how trials are launched."""

import json
from dataclasses import replace
from typing import Any

import pytest

from service.api.sweep_bodies import CreateSweepBody
from service.domain.errors import InvalidSweepFile
from service.sweep_files import Defaults, read_sweep_file
from tests.unit.sweep_file_use import SMALLEST

WANDB_RUNS = """executor: wandb
project: 2026
entity: us
wandb: {mode: offline, value: best, group: 007, job_type: null, tags: [1, a], sweep: false}
"""


def test_trials_of_wandbs_form_can_be_runs() -> None:
    file = read_sweep_file(SMALLEST + WANDB_RUNS)

    assert file.notes == ()
    assert file.document["launch"] == {
        "executor": "wandb",
        "program": "train.py",
        "project": "2026",
        "entity": "us",
        "mode": "offline",
        "value": "best",
        "group": "007",
        "job_type": None,
        "tags": ["1", "a"],
        "sweep": False,
    }
    CreateSweepBody.model_validate({"name": "a"} | file.document)
    places = {path: file.find_line(path) for path in ("launch.project", "launch.tags.1")}
    assert places == {"launch.project": 7, "launch.tags.1": 9}


def test_a_project_has_no_effect_on_processes() -> None:
    file = read_sweep_file(SMALLEST + "project: them\nentity: us\n")

    assert file.document["launch"].keys() == {"executor", "program"}
    assert [note.partition(",")[0] for note in file.notes] == [
        f"line {line}: Trials are no runs of W&B" for line in (6, 7)
    ]
    assert all("`executor: wandb`" in note for note in file.notes)


def test_what_is_asked_for_counts_where_the_file_says_nothing() -> None:
    wanted = Defaults(executor="wandb", project="p", entity="e", mode="offline")
    native = "direction: minimize\nlaunch: {program: a}\n"
    queue = (
        "direction: minimize\nlaunch: {executor: wandb-launch, launch_queue: q, job: a/b/j:v1}\n"
    )

    open_ = read_sweep_file(SMALLEST, wanted).document["launch"]
    closed = read_sweep_file(SMALLEST + WANDB_RUNS, replace(wanted, mode="online"))
    ours = read_sweep_file(native, wanted).document["launch"]
    queued = read_sweep_file(queue, Defaults(project="p", directory="/srv")).document["launch"]

    given = {"executor": "wandb", "project": "p", "entity": "e", "mode": "offline"}
    assert open_ == given | {"program": "train.py"}
    assert [closed.document["launch"][key] for key in ("project", "mode")] == ["2026", "offline"]
    assert ours == given | {"program": "a"}
    assert queued == {
        "executor": "wandb-launch",
        "launch_queue": "q",
        "job": "a/b/j:v1",
        "project": "p",
    }


@pytest.mark.parametrize(
    ("text", "wanted", "key"),
    [
        (SMALLEST + "executor: process\n", Defaults(executor="wandb"), "executor"),
        (SMALLEST + WANDB_RUNS, Defaults(executor="process"), "executor"),
        (
            "direction: minimize\nlaunch: {executor: wandb, program: a}",
            Defaults(executor="process"),
            "launch.executor",
        ),
        (SMALLEST, Defaults(executor="rocket"), "executor"),
        (SMALLEST, Defaults(executor="wandb-launch"), "executor"),
        (SMALLEST, Defaults(project="p"), "project"),
        ("direction: minimize\nlaunch: {program: a}", Defaults(mode="offline"), "mode"),
    ],
)
def test_what_is_asked_for_must_fit_the_file(text: str, wanted: Defaults, key: str) -> None:
    with pytest.raises(InvalidSweepFile) as caught:
        read_sweep_file(text, wanted)

    (error,) = caught.value.errors
    assert error.field == key
    # What the file does not say is in none of its lines.
    assert error.message.startswith("line ") == ("executor:" in text)


@pytest.mark.parametrize(
    "launch",
    [
        {"executor": "wandb", "program": "a", "project": "p", "tags": ["2026", "b"]},
        {
            "executor": "wandb-launch",
            "image": "train:1",
            "launch_queue": "gpus",
            "project": "1e5",
            "resource_args": {"kubernetes": {"backoffLimit": 0}},
            "entry_point": ["python", "1e5"],
            "priority": 1,
        },
    ],
)
def test_our_own_form_takes_all_executors(launch: dict[str, Any]) -> None:
    body = {"name": "digits", "direction": "minimize", "launch": launch}

    file = read_sweep_file(json.dumps(body))

    assert (file.document, file.notes) == (body, ())
    CreateSweepBody.model_validate(file.document)
