"""Sweep files of W&B Launch: what its queue gets."""

from typing import Any

import pytest

from service.api.sweep_bodies import CreateSweepBody
from service.cli.sweep.preview import build_preview
from tests.unit.scheduler_file_use import LAUNCH, list_notes, read


@pytest.mark.parametrize(
    ("keys", "name", "value"),
    [
        ("launch: {queue: 7, priority: high}", "priority", 1),
        ("launch: {queue: 7, priority: 3}", "priority", 3),
        ("launch: {queue: 7}", "launch_queue", "7"),
        ("launch: {queue: q, template_variables: {gpus: 2}}", "template_variables", {"gpus": 2}),
        ("launch: {queue: q, resource: kubernetes}", "resource", "kubernetes"),
        (
            "launch: {queue: q, overrides: {entry_point: [python, a.py]}}",
            "entry_point",
            ["python", "a.py"],
        ),
        (
            'launch: {queue: q}\nprogram: a.py\ncommand: [python, "${program}"]',
            "entry_point",
            ["python", "a.py"],
        ),
        ("launch: {queue: q}\nwandb: {value: best}", "value", "best"),
        ("launch: {queue: q}\nqueue: mine", "queue", "mine"),
    ],
)
def test_what_the_queue_gets(keys: str, name: str, value: Any) -> None:
    document = read(LAUNCH.replace("launch: {queue: gpu}", keys) + "method: random\n").document

    assert document["launch"][name] == value
    CreateSweepBody.model_validate(document)


def test_an_image_may_be_launched() -> None:
    file = read(
        LAUNCH.replace("job: acme/digits/train:v1", "image_uri: train:v1") + "method: grid\n"
    )

    assert file.document["launch"]["image"] == "train:v1"


def test_the_same_in_every_run() -> None:
    overrides = (
        "launch: {queue: gpu, registry: {url: x}, overrides: {run_config: {epochs: 5, n: 9}}}"
    )
    file = read(LAUNCH.replace("launch: {queue: gpu}", overrides) + "method: random\n")

    assert file.document["space"].keys() == {"n", "epochs"}
    assert build_preview(file, "s").space.constants == {"epochs": 5}
    assert "As in W&B, the parameter of this name wins." in list_notes(file)
    assert any("registry of its own" in note for note in list_notes(file))
