"""Dataclasses as inputs: what the worker makes of JSON is what a task reads."""

import enum
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.type_engine import TypeEngine
from flytekit.models.types import LiteralType

from service.schedulers.executors.flyte.literals import Unfit, build_literal


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Layer:
    size: int
    rate: float = 0.5


@dataclass
class Model:
    name: str
    lr: float
    sizes: list[int] = field(default_factory=list)
    drop: float | None = 0.1
    weights: dict[str, float] = field(default_factory=dict)
    first: Layer | None = None
    more: list[Layer] = field(default_factory=list)
    color: Color = Color.RED
    mode: Literal["fast", "slow"] = "fast"
    pair: tuple[int, float] = (1, 2.0)
    is_deep: bool = False


def find_type(hint: Any) -> LiteralType:
    """As Flyte has it."""
    return LiteralType.from_flyte_idl(TypeEngine.to_literal_type(hint).to_flyte_idl())


def read(value: Any, hint: Any) -> Any:
    literal = build_literal("model", value, find_type(hint))
    context = FlyteContextManager.current_context()
    return TypeEngine.to_python_value(context, literal, hint)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        ({"sizes": [1, 2.0]}, {"sizes": [1, 2]}),
        ({"drop": None}, {"drop": None}),
        ({"drop": 1}, {"drop": 1.0}),
        ({"weights": {"a": 1}}, {"weights": {"a": 1.0}}),
        ({"first": {"size": 3}}, {"first": Layer(3)}),
        ({"more": [{"size": 3}, {"size": 4, "rate": 1}]}, {"more": [Layer(3), Layer(4, 1.0)]}),
        ({"color": "blue", "mode": "slow"}, {"color": Color.BLUE, "mode": "slow"}),
        ({"pair": [3, 4], "is_deep": True}, {"pair": (3, 4.0), "is_deep": True}),
    ],
)
def test_fields_are_as_the_task_wants_them(given: dict[str, Any], expected: dict[str, Any]) -> None:
    model = {"name": "m", "lr": 1} | given

    assert read(model, Model) == Model(**{"name": "m", "lr": 1.0} | expected)
    assert read(model, Model | None) == read(model, Model)
    assert read([model], list[Model]) == [read(model, Model)]
    assert read({"a": model}, dict[str, Model]) == {"a": read(model, Model)}


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({"name": None}, "Its field 'name' is of type string; None is not."),
        ({"lr": True}, "Its field 'lr' is of type number; True is not."),
        ({"sizes": [1, 2.5]}, "Its field 'sizes[1]' is of type integer; 2.5 is not."),
        ({"drop": "none"}, "Its field 'drop' is of type number | null; 'none' is not."),
        ({"weights": {"a": "b"}}, "Its field 'weights.a' is of type number; 'b' is not."),
        ({"more": [{"rate": 1}]}, "Its field 'more[0].size' is missing."),
        ({"more": [{"size": 1, "z": 2}]}, "It has no field 'more[0].z'."),
        ({"color": "green"}, "Its field 'color' is of type 'red' | 'blue'; 'green' is not."),
        ({"mode": "z"}, "Its field 'mode' is of type 'fast' | 'slow'; 'z' is not."),
        ({"pair": [1]}, "Its field 'pair' has 2 values; [1] has not."),
    ],
)
def test_what_does_not_fit_is_named(given: dict[str, Any], cause: str) -> None:
    model = {"name": "m", "lr": 1} | given

    with pytest.raises(Unfit) as problem:
        read(model, Model)

    assert str(problem.value).startswith("The input 'model' is of type Model; ")
    assert str(problem.value).endswith(f" is not. {cause}")


def test_a_value_of_none_of_the_named_ones_does_not_fit() -> None:
    mode = Literal["fast", "slow"]

    assert read("slow", mode) == "slow"
    with pytest.raises(Unfit, match=r"of type 'fast' \| 'slow'; 'z' is not\."):
        read("z", mode)
