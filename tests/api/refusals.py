"""What a refusal is: a request, and the problem that it must get."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service.domain.limits import MAX_NAME_LENGTH

PARAMS = {"lr": 0.001, "layers": 2, "optimizer": "sgd"}
X = {"type": "float", "low": 0.0, "high": 1.0}
INT = {"type": "int", "low": 0, "high": 1}
LONG = "n" * (MAX_NAME_LENGTH + 1)
NUL = "a\0b"
KEY = {"Idempotency-Key": "k"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request, and the problem that it must get.

    Attributes:
        call: Method and path.
        hint: What the problem must say somewhere.
    """

    call: str
    body: Any
    status: int
    code: str
    headers: Mapping[str, str] = field(default_factory=dict)
    hint: str = ""

    @property
    def title(self) -> str:
        return f"{self.call} {str(self.body)[:120]}"


def imported(**changes: Any) -> dict[str, Any]:
    return {"state": "COMPLETE", "params": PARAMS, "values": 0.5} | changes


def refuse(call: str, body: Any, hint: str = "") -> Refusal:
    return Refusal(call, body, 422, "invalid-request", hint=hint)


def list_bad_spaces() -> list[dict[str, Any]]:
    loop = {
        "a": {"type": "categorical", "choices": [1, 2], "when": {"b": [1]}},
        "b": {"type": "categorical", "choices": [1, 2], "when": {"a": [1]}},
    }
    return [
        {"x": {"type": "float", "low": 1, "high": 0}},
        {"x": {"type": "float", "low": 0, "high": 1, "log": True}},
        {"x": {"type": "float", "low": 0, "high": 1, "step": 0}},
        {"x": {"type": "float", "low": "NaN", "high": 1}},
        {"x": {"type": "float", "low": 0}},
        {"x": {"type": "int", "low": 1.5, "high": 3}},
        {"x": {"type": "complex", "low": 0, "high": 1}},
        {"x": {"type": "float", "low": 0, "high": 1, "setp": 0.1}},
        {"x": {"type": "categorical", "choices": []}},
        {"x": {"type": "categorical", "choices": [1, 2], "probabilities": [1]}},
        {"x": X | {"when": {"y": [1]}}},
        loop,
        {LONG: X},
        {"": X},
    ]


def list_bad_params() -> list[dict[str, Any]]:
    return [
        {"layers": 9},
        {"layers": 1.5},
        {"layers": True},
        {"layers": "2"},
        {"lr": 0},
        {"lr": "NaN"},
        {"optimizer": "lion"},
        {"layer": 1},
        {"layers": {"depth": 1}},
    ]
