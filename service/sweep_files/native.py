"""Our own form: the body of `POST /sweeps` as it is."""

from collections.abc import Mapping
from typing import Any

from service.domain.flyte import EntityKind
from service.sweep_files.body_parts import take_over_part
from service.sweep_files.documents import Path
from service.sweep_files.draft import Draft
from service.sweep_files.launches import (
    check_program,
    find_executor,
    refuse_both_resources,
    refuse_foreign_keys,
)
from service.sweep_files.sweep_file import Defaults

KEYS = (
    "name",
    "direction",
    "objectives",
    "space",
    "python",
    "sampler",
    "pruner",
    "seed",
    "budget",
    "parallelism",
    "lease_seconds",
    "retry",
    "user_attrs",
    "if_exists",
    "launch",
)
_LAUNCH: Path = ("launch",)


def read_native(draft: Draft, defaults: Defaults) -> None:
    """Takes over what the file says; only its keys and how to launch are checked here."""
    content = draft.source.content
    draft.refuse_unknown((), content, KEYS)
    for key in KEYS:
        if key in content:
            take_over_part(draft, key)
    _check_objectives(draft, content)
    _check_python(draft, content.get("python"))
    launch = content.get("launch")
    if not isinstance(launch, dict):
        draft.refuse(("launch",), "A sweep needs `launch`, such as `launch: {program: train.py}`.")
    else:
        _check_launch(draft, launch, defaults)


def _check_objectives(draft: Draft, content: Mapping[str, Any]) -> None:
    given = [key for key in ("direction", "objectives") if content.get(key) is not None]
    if not given:
        draft.refuse(
            ("direction",),
            "Say which way is better: `direction: minimize`, or `objectives: "
            "[{name: loss, direction: minimize}]`.",
        )
    elif len(given) > 1:
        draft.refuse(
            ("objectives",), "Give `direction` for one objective or `objectives`, not both."
        )


def _check_python(draft: Draft, python: Any) -> None:
    source = python.get("source") if isinstance(python, dict) else None
    if isinstance(source, str) and source.endswith(".py") and "\n" not in source:
        draft.refuse(
            ("python", "source"), "This is the Python text itself, which begins with `source: |`."
        )


def _check_launch(draft: Draft, launch: Mapping[str, Any], defaults: Defaults) -> None:
    executor = draft.executor = find_executor(draft, launch, _LAUNCH, defaults.executor)
    if executor is None:
        return
    if defaults.executor is not None:
        # A copy: what the file says is not touched.
        draft.content["launch"] = {"executor": executor, **launch}
    refuse_foreign_keys(draft, launch, _LAUNCH, executor)
    match executor:
        case "wandb-launch":
            _check_job(draft, launch)
        case "flyte":
            _check_entity(draft, launch)
        case _:
            check_program(draft, launch, _LAUNCH)


def _check_job(draft: Draft, launch: Mapping[str, Any]) -> None:
    if (launch.get("job") is None) == (launch.get("image") is None):
        draft.refuse((*_LAUNCH, "job"), "Give `job` or `image`, one of them.")
    refuse_both_resources(draft, launch)


def _check_entity(draft: Draft, launch: Mapping[str, Any]) -> None:
    given = [kind for kind in EntityKind if launch.get(kind) is not None]
    if len(given) != 1:
        draft.refuse(
            (*_LAUNCH, given[-1] if given else "task"),
            "Give `task`, `workflow` or `launch_plan`, one of them.",
        )
