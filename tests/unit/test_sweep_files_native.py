"""Sweep files in our own form, which is the body of the request."""

import json

from service.api.bodies import ComponentBody
from service.api.launch_bodies import ProcessLaunchBody, WandbLaunchBody, WandbQueueLaunchBody
from service.api.study_bodies import ObjectiveBody, RetryBody
from service.api.sweep_bodies import CreateSweepBody, SweepBudgetBody
from service.domain.errors import FieldError
from service.sweep_files import Dialect, read_sweep_file
from service.sweep_files.body_parts import KEYS_OF_OBJECTIVE, KEYS_OF_PARTS
from service.sweep_files.launches import KEYS_OF_EXECUTORS
from service.sweep_files.native import KEYS


def test_our_own_form_is_the_body_itself() -> None:
    body = {
        "name": "digits",
        "objectives": [{"name": "accuracy", "direction": "maximize"}],
        "space": {"lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": True}},
        "launch": {"program": "train.py", "command": ["python", "${program}", "1e5"]},
    }
    for text in (json.dumps(body), json.dumps(body, indent="\t")):
        file = read_sweep_file(text)

        assert file.document == body
        assert (file.dialect, file.notes) == (Dialect.NATIVE, ())
        CreateSweepBody.model_validate(file.document)
    place = file.find_place("lr.high")
    assert place is not None
    assert (place.key, place.line) == ("space.lr.high", 13)


def test_json_escapes_are_read() -> None:
    name = 'a "😀" \\ud83d\\ude00 \\😀 é/'

    body = {"name": name, "direction": "minimize", "launch": {"program": "p"}}
    assert read_sweep_file(json.dumps(body)).name == name


def test_our_own_form_has_the_fields_of_the_body() -> None:
    assert set(KEYS) == set(CreateSweepBody.model_fields)
    for executor, launch in {
        "process": ProcessLaunchBody,
        "wandb": WandbLaunchBody,
        "wandb-launch": WandbQueueLaunchBody,
    }.items():
        assert set(KEYS_OF_EXECUTORS[executor]) == set(launch.model_fields)
    for part, body in {
        "budget": SweepBudgetBody,
        "retry": RetryBody,
        "sampler": ComponentBody,
        "pruner": ComponentBody,
    }.items():
        assert set(KEYS_OF_PARTS[part]) == set(body.model_fields)
    assert set(KEYS_OF_OBJECTIVE) == set(ObjectiveBody.model_fields)


def test_what_our_own_form_lacks_is_named() -> None:
    file = read_sweep_file("objectives:\n- {name: loss}\nlaunch: {program: p}\n")

    lacking = file.place_error(FieldError("objectives.0.direction", "Field required"))

    assert lacking == FieldError("objectives.0.direction", "line 2: This is missing.")
    assert file.place_error(FieldError("seed", "wrong")) is None
