"""Parts of a body that are right by themselves, and wrong beside one another."""

from collections.abc import Mapping
from typing import Any

from service.search_space import describe
from service.sweep_files.draft import Draft

_OF_RUNS = "asktell"
_ONLY_NAME = "value"
"""Of the objective, where a direction is all that is said of it."""


def refuse_clashes(draft: Draft) -> None:
    """Adds a problem for every part that another one excludes."""
    names = _list_names(draft.content)
    _refuse_repeated(draft, names)
    if draft.executor is not None:
        _check_launch(draft, draft.content["launch"], names)


def _refuse_repeated(draft: Draft, names: list[str | None]) -> None:
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            draft.refuse_part(f"objectives.{index}.name", f"{describe(name)} is there twice.")
        elif name is not None:
            seen.add(name)


def _list_names(content: Mapping[str, Any]) -> list[str | None]:
    """Names of the objectives; None for what is no name."""
    objectives = content.get("objectives")
    if not isinstance(objectives, list):
        return [_ONLY_NAME] if "direction" in content else []
    names = [each.get("name") if isinstance(each, dict) else None for each in objectives]
    return [name if isinstance(name, str) else None for name in names]


def _check_launch(draft: Draft, launch: Mapping[str, Any], names: list[str | None]) -> None:
    metric = launch.get("step_metric")
    if metric is not None and metric in names:
        draft.refuse_part(
            "launch.step_metric", f"{describe(metric)} is an objective; a step is not a result."
        )
    match draft.executor:
        case "wandb" | "wandb-launch":
            _check_value(draft, launch, names)
            _check_labels(draft)
        case "wandb-agent":
            _check_value(draft, launch, names)
        case "flyte":
            _check_outputs(draft, launch, names)
            _check_inputs(draft, launch)


def _check_value(draft: Draft, launch: Mapping[str, Any], names: list[str | None]) -> None:
    if launch.get("value") == "best" and len(names) > 1:
        draft.refuse_part(
            "launch.value", "best is of a single objective; several have no best step."
        )


def _check_labels(draft: Draft) -> None:
    space = draft.content.get("space")
    for name in space if isinstance(space, dict) else ():
        if name.partition(".")[0] == _OF_RUNS:
            draft.refuse_part(
                f"space.{name}",
                f"{_OF_RUNS} is no parameter's name here: the config of a run says there which "
                "trial it is.",
            )


def _check_outputs(draft: Draft, launch: Mapping[str, Any], names: list[str | None]) -> None:
    outputs = launch.get("outputs")
    for name in outputs if isinstance(outputs, dict) else ():
        if name not in names:
            draft.refuse_part(f"launch.outputs.{name}", "There is no objective of this name.")


def _check_inputs(draft: Draft, launch: Mapping[str, Any]) -> None:
    """Each input has one value, and nothing is called what is no parameter."""
    space, renamed = draft.content.get("space"), _take_mapping(launch.get("input_names"))
    if not isinstance(space, dict):
        return
    parameters = {name.partition(".")[0] for name in space}
    for name in renamed:
        if name not in parameters:
            draft.refuse_part(f"launch.input_names.{name}", "There is no parameter of this name.")
    taken = parameters - set(renamed)
    given = {f"launch.inputs.{name}": name for name in _take_mapping(launch.get("inputs"))}
    given |= {f"launch.input_names.{name}": wanted for name, wanted in renamed.items()}
    for part, name in given.items():
        if isinstance(name, str) and name in taken:
            draft.refuse_part(
                part, f"The input {describe(name)} gets two values: it is a parameter as well."
            )


def _take_mapping(part: Any) -> Mapping[str, Any]:
    """Nothing of what is refused elsewhere."""
    return part if isinstance(part, dict) else {}
