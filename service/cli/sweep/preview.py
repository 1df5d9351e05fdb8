"""What would become of a sweep file: all checks of creation, without a server."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import ValidationError

from service.api.sweep_bodies import CreateSweepBody
from service.domain.errors import FieldError, Invalid, InvalidSweepFile
from service.domain.studies import StudySettings, StudySpec
from service.domain.sweeps import LaunchSpec
from service.engine.create import settle_study
from service.samplers.grids import first_value
from service.schedulers.executors.base import LaunchRefused
from service.schedulers.executors.process.commands import CommandContext, build_command
from service.search_space import SearchSpace, nest, parse_space
from service.sweep_files import SweepFile


@dataclass(frozen=True, slots=True)
class Preview:
    """A sweep as it would be created.

    Attributes:
        params: Of an example trial, as its program would get them.
        argv: How that program would be launched; None if others do it.
    """

    spec: StudySpec
    settings: StudySettings
    space: SearchSpace
    launch: LaunchSpec
    params: Mapping[str, Any]
    argv: tuple[str, ...] | None


def build_preview(file: SweepFile, default_name: str) -> Preview:
    """Checks a sweep file as the server does when it creates the sweep.

    Raises:
        InvalidSweepFile: With what is wrong, by the keys and lines of the file.
    """
    try:
        return _build(file, default_name)
    except ValidationError as error:
        parts = [FieldError(".".join(map(str, e["loc"])), e["msg"]) for e in error.errors()]
        raise _place_all(parts, file) from error
    except Invalid as error:
        raise _place_all(error.errors or (FieldError("", error.message),), file) from error
    except LaunchRefused as error:
        raise _place_all([FieldError("launch.command", str(error))], file) from error


def describe_distribution(distribution: BaseDistribution) -> str:
    """Optuna's distribution as its constructor is called, without what is left out anyway."""
    match distribution:
        case CategoricalDistribution(choices=choices):
            arguments = [str(list(choices))]
        case FloatDistribution(low=low, high=high, log=log, step=step):
            arguments = [str(low), str(high)]
            arguments += ["log=True"] if log else []
            arguments += [] if step is None else [f"step={step}"]
        case IntDistribution(low=low, high=high, log=log, step=step):
            arguments = [str(low), str(high)]
            arguments += ["log=True"] if log else []
            arguments += [] if step == 1 else [f"step={step}"]
        case _:
            return str(distribution)
    return f"{type(distribution).__name__}({', '.join(arguments)})"


def _build(file: SweepFile, default_name: str) -> Preview:
    document = {"name": default_name} | file.document
    new = CreateSweepBody.model_validate(document).to_command(None)
    spec, settings = settle_study(new)
    assert new.launch is not None, "the body of a sweep has one"
    space = parse_space(spec.space or {})
    params = _choose_params(space)
    return Preview(spec, settings, space, new.launch, params, _build_argv(new.launch, params))


def _choose_params(space: SearchSpace) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    for parameter in space.parameters:
        if space.is_active(parameter, chosen):
            value = {parameter.name: first_value(parameter.distribution)}
            chosen |= space.resolve(value)
    return nest({**space.constants, **chosen})


def _build_argv(launch: LaunchSpec, params: Mapping[str, Any]) -> tuple[str, ...] | None:
    if "command" not in launch.arguments:
        return None
    context = CommandContext(
        program=launch.arguments["program"],
        interpreter="python",
        environment={},
        args_file="args.json",
    )
    return build_command(launch.arguments["command"], params, context).argv


def _place_all(errors: Any, file: SweepFile) -> InvalidSweepFile:
    placed = [_place(error, file) for error in errors]
    return InvalidSweepFile(
        f"The sweep file cannot be used: {placed[0].field}: {placed[0].message}", errors=placed
    )


def _place(error: FieldError, file: SweepFile) -> FieldError:
    return file.place_error(error) or FieldError(error.field or "file", error.message)
