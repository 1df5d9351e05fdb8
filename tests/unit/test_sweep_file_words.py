"""What is said of every key of a sweep file with a value that it cannot have."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from service.cli.sweep.preview import build_preview
from service.domain.errors import FieldError, InvalidSweepFile
from service.sweep_files import draft_sweep_file
from service.sweep_files.body_parts import KEYS_OF_PARTS
from service.sweep_files.launches import KEYS_OF_EXECUTORS
from service.sweep_files.native import KEYS

LONG = "x" * 20_000
ODD = (
    *(None, True, -1, 0, 0.5, 10**13, "", "a b", "a/b", "a\0b", "text", LONG),
    *([], [1], ["a,b"], [LONG], {}, {"a": 1}),
)
WANDB = {
    "method": "custom",
    "metric": {"name": "loss"},
    "parameters": {"n": {"values": [1, 2]}},
    "program": "train.py",
    "executor": "wandb",
}
NATIVE = {
    "direction": "minimize",
    "space": {"n": {"type": "int", "low": 1, "high": 2}},
    "launch": {"program": "train.py"},
}
LAUNCHES: dict[str, dict[str, Any]] = {
    "process": {"program": "train.py"},
    "wandb": {"program": "train.py"},
    "wandb-launch": {"job": "a/b/c:latest", "launch_queue": "gpus", "project": "numbers"},
    "wandb-agent": {"program": "train.py"},
    "flyte": {"task": "numbers/development/train@v1"},
}
PARTS: dict[str, dict[str, Any]] = {
    "sampler": {"type": "TPESampler"},
    "pruner": {"type": "MedianPruner"},
    "metric": {"name": "loss"},
    "early_terminate": {"type": "hyperband", "min_iter": 3},
}
KEYS_OF_WANDB = (
    *WANDB,
    *("metrics", "early_terminate", "run_cap", "name", "description", "kind", "project", "wandb"),
    *("queue", "directory", "timeout_seconds", "stop_seconds", "step_metric"),
)
INNER_OF_WANDB = {
    "wandb": ("mode", "value", "group", "job_type", "tags", "sweep"),
    "metric": ("name", "goal", "target"),
    "early_terminate": ("type", "min_iter", "max_iter", "s", "eta", "strict"),
}
# Each look at Python takes a process: see test_sweep_python.
OTHER_PARTS = {part: keys for part, keys in KEYS_OF_PARTS.items() if part != "python"}
NAMED_INSTEAD = {
    "objectives": "direction",
    "launch.image": "launch.job",
    "launch.workflow": "launch.task",
    "launch.launch_plan": "launch.task",
}
PYDANTIC = re.compile(r"Input|Field|should|validation|instance|unknown field|extra", re.IGNORECASE)


def list_cases() -> Iterator[tuple[str, str, Any]]:
    """Give a name, a key and the file around it, of each key of both forms."""
    for form, file, keys in (("wandb", WANDB, KEYS_OF_WANDB), ("native", NATIVE, KEYS)):
        yield from ((f"{form} {key}", key, file) for key in keys)
    for form, file, parts in (("wandb", WANDB, INNER_OF_WANDB), ("native", NATIVE, OTHER_PARTS)):
        for part, keys in parts.items():
            yield from list_inner(form, part, keys, file | {part: PARTS.get(part, {})})
    for executor, keys in KEYS_OF_EXECUTORS.items():
        launch = {"executor": executor} | LAUNCHES[executor]
        yield from list_inner(executor, "launch", keys, NATIVE | {"launch": launch})


def list_inner(
    form: str, part: str, keys: Iterable[str], file: dict[str, Any]
) -> Iterator[tuple[str, str, Any]]:
    return ((f"{form} {part}.{key}", f"{part}.{key}", file) for key in keys)


@pytest.mark.parametrize(
    ("key", "file"), [pytest.param(*rest, id=title) for title, *rest in list_cases()]
)
def test_every_refusal_names_key_and_line_in_our_words(key: str, file: dict[str, Any]) -> None:
    refused = [(value, errors) for value in ODD if (errors := find_errors(file, key, value))]

    # Beside `min_iter`, `s` has no effect.
    assert refused or key == "early_terminate.s"
    for value, errors in refused:
        for error in errors:
            assert is_about(error, key), (value, errors)
            assert re.match(r"line [1-9]\d*: \S.*[.?]$", error.message, re.DOTALL), error
            assert not PYDANTIC.search(error.message), error


def find_errors(file: dict[str, Any], key: str, value: Any) -> tuple[FieldError, ...]:
    part, _, inner = key.partition(".")
    changed = file | {part: {**file[part], inner: value} if inner else value}
    if key == "metrics":
        del changed["metric"]
    if key == "objectives":
        del changed["direction"]
    try:
        build_preview(draft_sweep_file(json.dumps(changed)), "s")
    except InvalidSweepFile as error:
        return error.errors
    return ()


def is_about(error: FieldError, key: str) -> bool:
    """Whether the key is named, or what has to be there without it."""
    instead = NAMED_INSTEAD.get(key, key)
    return f"{error.field}.".startswith((f"{key}.", f"{instead}."))
