"""What would become of a sweep file: all checks of creation, without a server."""

from collections.abc import Collection, Mapping
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
from service.cli.sweep.code_preview import N_SAMPLES, read_new_code, sample_trials
from service.domain.errors import FieldError, Invalid, InvalidName, InvalidSpace
from service.domain.studies import StudySettings, StudySpec
from service.domain.sweeps import LaunchSpec
from service.engine.create import settle_study
from service.samplers.grids import first_value
from service.schedulers.executors.base import LaunchRefused
from service.schedulers.executors.process.commands import CommandContext, build_command
from service.search_space import Parameter, SearchSpace, nest, parse_space
from service.search_space.readings import SHARES
from service.sweep_files import SweepFile

_NO_OPTIONS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Preview:
    """A sweep as it would be created.

    Attributes:
        params: Of an example trial, as its program would get them.
        argv: How that program would be launched; None if others do it.
        sampled_trials: If the sweep's code declares the parameters: `space` is what so many trials
            came upon.
    """

    spec: StudySpec
    settings: StudySettings
    space: SearchSpace
    launch: LaunchSpec
    params: Mapping[str, Any]
    argv: tuple[str, ...] | None
    sampled_trials: int | None = None
    notes: tuple[str, ...] = ()


def build_preview(
    file: SweepFile, default_name: str, options: Mapping[str, str] = _NO_OPTIONS
) -> Preview:
    """Checks a sweep file as the server does when it creates the sweep.

    Args:
        options: Of the command line that stand for parts of the body, by those parts.

    Raises:
        InvalidSweepFile: With all that is wrong, by the keys and lines of the file.
    """
    document = dict(file.document)
    if document.get("name") is None:
        document["name"] = default_name
    _refuse_all(document, file, options)
    file.problems.check()
    return _build(document)


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


def _build(document: Mapping[str, Any]) -> Preview:
    new = CreateSweepBody.model_validate(document).to_command(None)
    parts = read_new_code(new)
    spec, settings = settle_study(new, parts)
    assert new.launch is not None, "the body of a sweep has one"
    code = spec.user_code
    if code is not None and code.declares_parameters:
        sampled = sample_trials(code, spec)
        space, params, trials = SearchSpace(sampled.parameters, {}), nest(sampled.params), N_SAMPLES
    else:
        space, trials = parse_space(spec.space or {}), None
        params = _choose_params(space)
    return Preview(
        spec,
        settings,
        space,
        new.launch,
        params,
        _build_argv(new.launch, params),
        trials,
        () if parts is None else parts.notes,
    )


def _choose_params(space: SearchSpace) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    for parameter in space.parameters:
        if space.is_active(parameter, chosen):
            chosen[parameter.name] = parameter.resolve(_choose_drawn(parameter))
    return nest({**space.constants, **chosen})


def _choose_drawn(parameter: Parameter) -> Any:
    # The ends of a law are far from what it gives.
    return 0.5 if parameter.distribution == SHARES else first_value(parameter.distribution)


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


def _refuse_all(document: Mapping[str, Any], file: SweepFile, options: Mapping[str, str]) -> None:
    """Adds all that creation would tell bit by bit: what it refuses is left out to see the rest."""
    left_out: set[str] = set()
    while errors := _find_errors(document):
        for error in errors:
            if not _is_consequence(error, file, left_out):
                _refuse(error, file, options)
        parts = {part for error in errors for part in _list_parts(error)}
        if parts <= left_out:
            return
        left_out |= parts
        document = _leave_out(parts, document)


def _find_errors(document: Mapping[str, Any]) -> list[FieldError]:
    """What creation refuses first, by the parts of the body; nothing if it would succeed."""
    try:
        _build(document)
    except ValidationError as error:
        return [FieldError(".".join(map(str, e["loc"])), e["msg"]) for e in error.errors()]
    except InvalidName as error:
        return [FieldError("name", error.message)]
    except InvalidSpace as error:
        return [FieldError(f"space.{each.field}", each.message) for each in error.errors]
    except Invalid as error:
        return list(error.errors) or [FieldError("", error.message)]
    except LaunchRefused as error:
        return [FieldError("launch.command", str(error))]
    return []


def _is_consequence(error: FieldError, file: SweepFile, left_out: Collection[str]) -> bool:
    """Whether a grid only misses the parameters that were refused."""
    is_grid = error.field == "sampler.args.search_space"
    return is_grid and ("space" in left_out or file.problems.is_about("parameters"))


def _refuse(error: FieldError, file: SweepFile, options: Mapping[str, str]) -> None:
    option = options.get(error.field)
    if option is None:
        file.refuse(error)
    else:
        file.problems.refuse_asked(option, file.say(error))


def _list_parts(error: FieldError) -> tuple[str, ...]:
    """The parts of the body to leave out; no part by itself is to blame for an error of all."""
    return (error.field.partition(".")[0],) if error.field else ("launch", "objectives")


def _leave_out(parts: Collection[str], document: Mapping[str, Any]) -> dict[str, Any]:
    """The body without some parts, or with others that can stand for them."""
    rest = {name: part for name, part in document.items() if name not in parts}
    stand_ins: dict[str, Any] = {"name": "sweep", "launch": {"program": "train.py"}}
    rest |= {name: part for name, part in stand_ins.items() if name in parts}
    if not {"direction", "objectives"}.isdisjoint(parts):
        rest.pop("direction", None)
        rest["objectives"] = _build_objectives(document.get("objectives"))
    return rest


def _build_objectives(refused: Any) -> list[dict[str, str]]:
    """As many as were refused, for others depend on that."""
    count = max(1, len(refused)) if isinstance(refused, list) else 1
    return [{"name": f"objective {n}", "direction": "minimize"} for n in range(count)]
