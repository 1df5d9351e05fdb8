"""What W&B is shown of a sweep."""

from dataclasses import replace
from typing import Any

import pytest
from asktell.workers import WantedMirror

from service.schedulers.executors.wandb.sweeps.sweep_config import build_marker, build_sweep_config

WANTED = WantedMirror(
    study="digits",
    sweep_id="k3v9x2ab",
    executor="wandb",
    arguments={"program": "train.py", "command": None, "sweep": True},
    description=None,
    objectives=(("accuracy", "maximize"),),
    space={"lr": {"type": "float", "low": 0, "high": 1}},
    external_ref=None,
)


def build_parameters(space: dict[str, Any] | None) -> Any:
    return build_sweep_config(replace(WANTED, space=space))["parameters"]


def test_it_names_what_people_look_for() -> None:
    config = build_sweep_config(WANTED)
    description = config.pop("description")
    assert config == {
        "name": "digits",
        "method": "custom",
        "metric": {"name": "accuracy", "goal": "maximize"},
        "parameters": {"lr": {"distribution": "uniform", "min": 0.0, "max": 1.0}},
        "program": "train.py",
    }
    assert "the study digits" in description
    assert build_marker("k3v9x2ab") in description


def test_what_is_not_known_is_left_out() -> None:
    wanted = replace(WANTED, arguments={"job": "acme/jobs/train:v3"})
    assert "program" not in build_sweep_config(wanted)


def test_several_objectives_are_metrics() -> None:
    objectives = (("accuracy", "maximize"), ("seconds", "minimize"))
    config = build_sweep_config(replace(WANTED, objectives=objectives))
    assert "metric" not in config
    assert config["metrics"] == [
        {"name": "accuracy", "goal": "maximize"},
        {"name": "seconds", "goal": "minimize"},
    ]


def test_what_people_say_of_the_sweep_comes_first() -> None:
    config = build_sweep_config(replace(WANTED, description="A wider net."))
    assert config["description"].startswith("A wider net.\n\n")
    assert build_marker("k3v9x2ab") in config["description"]


def test_no_marker_holds_another() -> None:
    assert build_marker("k3v9x2ab") not in build_marker("k3v9x2ac")


@pytest.mark.parametrize(
    ("entry", "parameter"),
    [
        ({"type": "float", "low": 0, "high": 2}, ("uniform", 0.0, 2.0, None)),
        (
            {"type": "float", "low": 1e-5, "high": 0.1, "log": True},
            ("log_uniform_values", 1e-5, 0.1, None),
        ),
        ({"type": "float", "low": 0, "high": 1, "step": 0.25}, ("q_uniform", 0.0, 1.0, 0.25)),
        ({"type": "float", "low": 0.5, "high": 9, "quantum": 3}, ("q_uniform", 0.5, 9.0, 3)),
        (
            {"type": "float", "low": 1, "high": 64, "log": True, "quantum": 2},
            ("q_log_uniform_values", 1.0, 64.0, 2),
        ),
        ({"type": "int", "low": 1, "high": 4}, ("int_uniform", 1, 4, None)),
        ({"type": "int", "low": 1, "high": 4, "step": 1}, ("int_uniform", 1, 4, None)),
        ({"type": "int", "low": 16, "high": 64, "step": 16}, ("q_uniform", 16, 64, 16)),
        (
            {"type": "int", "low": 1, "high": 64, "log": True},
            ("q_log_uniform_values", 1, 64, 1),
        ),
        (
            {"name": "FloatDistribution", "attributes": {"low": 0, "high": 1, "log": False}},
            ("uniform", 0.0, 1.0, None),
        ),
        (
            {"name": "IntLogUniformDistribution", "attributes": {"low": 1, "high": 8}},
            ("q_log_uniform_values", 1, 8, 1),
        ),
        (
            {"name": "DiscreteUniformDistribution", "attributes": {"low": 0, "high": 1, "q": 0.5}},
            ("q_uniform", 0.0, 1.0, 0.5),
        ),
    ],
)
def test_ranges(entry: dict[str, Any], parameter: tuple[Any, ...]) -> None:
    distribution, low, high, q = parameter
    expected = {"distribution": distribution, "min": low, "max": high}
    built = build_parameters({"x": entry})["x"]
    assert built == expected | ({} if q is None else {"q": q})
    # W&B calls a mixture of both ambiguous.
    assert type(built["min"]) is type(built["max"]) is type(low)


@pytest.mark.parametrize(
    ("entry", "parameter"),
    [
        ({"type": "categorical", "choices": ["a", None, True]}, {"values": ["a", None, True]}),
        (
            {"name": "CategoricalDistribution", "attributes": {"choices": [1, 2]}},
            {"values": [1, 2]},
        ),
        (0, {"value": 0}),
        ({"value": None}, {"value": None}),
        ({"value": [1, 2]}, {"value": [1, 2]}),
        (
            {"type": "categorical", "choices": [[1], {}], "probabilities": [0.5, 0.5]},
            {"values": [[1], {}], "probabilities": [0.5, 0.5]},
        ),
        ({"type": "normal"}, {"distribution": "normal"}),
        (
            {"type": "log_normal", "mu": 1, "sigma": None, "when": {"y": [1]}},
            {"distribution": "log_normal", "mu": 1},
        ),
        (
            {"type": "beta", "a": 2, "b": 3, "quantum": 0.1},
            {"distribution": "q_beta", "a": 2, "b": 3, "q": 0.1},
        ),
        # W&B wants a minimum below the maximum.
        ({"type": "int", "low": 3, "high": 3}, {"value": 3}),
    ],
)
def test_choices_constants_and_laws(entry: Any, parameter: dict[str, Any]) -> None:
    assert build_parameters({"x": entry}) == {"x": parameter}


def test_groups_and_dots_are_nested() -> None:
    space = {
        "opt": {"value": {"type": "int", "low": 1, "high": 2}, "kind": "adam"},
        "opt.deep.lr": 0.1,
    }
    assert build_parameters(space) == {
        "opt": {
            "parameters": {
                "value": {"distribution": "int_uniform", "min": 1, "max": 2},
                "kind": {"value": "adam"},
                "deep": {"parameters": {"lr": {"value": 0.1}}},
            }
        }
    }


def test_what_wandb_cannot_say_is_left_out() -> None:
    space = {
        "depth": {"type": "int", "low": 1, "high": 4, "when": {"kind": ["tree"]}},
        "größe": 1,
        "learning rate": 0.1,
        "group": {"2nd": 2},
    }
    expected = {"depth": {"distribution": "int_uniform", "min": 1, "max": 4}}
    assert build_parameters(space) == expected


@pytest.mark.parametrize("space", [None, {}, {"learning rate": 0.1}])
def test_without_a_parameter_there_is_still_one(space: dict[str, Any] | None) -> None:
    assert build_parameters(space) == {"asktell": {"parameters": {"study": {"value": "digits"}}}}
