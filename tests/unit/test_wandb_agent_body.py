"""What a sweep for people's own agents is made of."""

from typing import Any

import pytest
from pydantic import ValidationError

from service.api.sweep_bodies import CreateSweepBody

LAUNCH = {"executor": "wandb-agent", "program": "train.py", "project": "digits"}


def build(launch: dict[str, Any], **changes: Any) -> CreateSweepBody:
    base = {"name": "new", "direction": "minimize"}
    return CreateSweepBody.model_validate(base | changes | {"launch": LAUNCH | launch})


def test_its_runs_belong_to_a_sweep_whatever_is_said() -> None:
    launch = build({"value": "best", "start_timeout_seconds": 900}).launch.to_launch()

    assert launch.has_mirror
    assert launch.arguments["program"] == "train.py"
    assert launch.arguments["value"] == "best"
    assert launch.arguments["start_timeout_seconds"] == 900


@pytest.mark.parametrize(
    ("launch", "hint"),
    [
        ({"program": None}, "Say what to launch"),
        ({"command": ["${envvars:A}"]}, "no macro"),
        ({"project": "a/b"}, "launch.project"),
        ({"sweep": True}, "launch.sweep"),
        ({"start_timeout_seconds": 0}, "start_timeout_seconds"),
        ({"directory": "/srv"}, "launch.directory"),
        ({"mode": "offline"}, "launch.mode"),
        ({"step_metric": "value"}, "step_metric"),
    ],
)
def test_what_is_wrong_is_refused(launch: dict[str, Any], hint: str) -> None:
    with pytest.raises(ValidationError, match=hint):
        build(launch)


def test_the_best_of_several_objectives_is_refused() -> None:
    objectives = [{"name": name, "direction": "minimize"} for name in ("loss", "seconds")]
    with pytest.raises(ValidationError, match="single objective"):
        CreateSweepBody.model_validate(
            {"name": "new", "objectives": objectives, "launch": LAUNCH | {"value": "best"}}
        )
