"""`asktell sweep check`: what a sweep file means, without a server."""

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.documents import JsonOption
from service.cli.failures import EXIT_WRONG_USE, WrongUse, explain_failures
from service.cli.formats import to_line
from service.cli.sweep.wishes import (
    EntityOption,
    ExecutorOption,
    ModeOption,
    ProjectOption,
    Wishes,
    draft_wished,
    list_wishes,
)
from service.domain.errors import FieldError, InvalidSweepFile
from service.domain.flyte import EntityKind
from service.domain.studies import Component

if TYPE_CHECKING:
    from service.cli.sweep.preview import Preview
    from service.domain.sweeps import LaunchSpec
    from service.search_space import Parameter
    from service.sweep_files import SweepFile

_LINE = re.compile(r"line (\d+): (.*)", re.DOTALL)
_OF_WANDB = ("job", "image", "launch_queue", "launch_queue_project", "resource", "mode")
_DIALECTS = {"wandb": "a sweep of Weights & Biases", "native": "a sweep of Asktell"}


def check(
    file: Annotated[Path, typer.Argument(help="YAML or JSON, in W&B's form or in ours.")],
    executor: ExecutorOption = None,
    project: ProjectOption = None,
    entity: EntityOption = None,
    mode: ModeOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show what a sweep file means: search space, sampler, budget, command. Starts nothing.

    Exit with 2 if the file cannot be used, and show every problem with its line, or if an option is
    wrong or not for this file.
    """
    wishes = Wishes(executor=executor, project=project, entity=entity, mode=mode)
    with explain_failures():
        try:
            read, preview = preview_file(file, wishes)
            note = compare_outside(read, preview)
        except InvalidSweepFile as error:
            _show_errors(file, error.errors, as_json=as_json)
            raise typer.Exit(EXIT_WRONG_USE) from None
    if as_json:
        typer.echo(json.dumps(_to_document(read, preview), ensure_ascii=False))
    else:
        doubt = "" if note is None else ", as far as can be told here"
        typer.echo("\n".join(_describe(file, read, preview, doubt)))
    if note is not None:
        typer.echo(f"note: {note}", err=True)


def compare_outside(read: "SweepFile", preview: "Preview") -> str | None:
    """Compares what a file is to launch with what there is; returns a note if nobody can.

    Raises:
        InvalidSweepFile: With all that does not fit.
    """
    if preview.launch.executor != "flyte":
        return None
    from service.cli.sweep.outside import NotCompared, find_misfits

    try:
        misfits = find_misfits(preview)
    except NotCompared as reason:
        return to_line(f"Not compared with Flyte; the first worker will do that. {reason}")
    kind = next(kind for kind in EntityKind if preview.launch.arguments[kind])
    if misfits:
        read.refuse(FieldError(f"launch.{kind}", " ".join(misfits)))
    read.problems.check()
    return None


def read_text(file: Path) -> str:
    """The text of a sweep file.

    Raises:
        WrongUse: There is none.
        InvalidSweepFile: It is no text.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise WrongUse(f"{file} cannot be read ({error.strerror}).") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"line {line}: This is not UTF-8; save the file as UTF-8."
        raise InvalidSweepFile(message, errors=[FieldError("file", message)]) from error


def preview_file(file: Path, wishes: Wishes) -> "tuple[SweepFile, Preview]":
    """What a sweep file means, and what would become of it.

    Raises:
        WrongUse: There is none.
        InvalidSweepFile: With all that is wrong, with the options too.
    """
    # Loading Optuna takes seconds, which other commands need not wait for.
    from service.cli.sweep.preview import build_preview

    text = read_text(file)
    read = draft_wished(text, wishes, name=None, directory=str(file.resolve().parent))
    options = {path: option for path, (option, _) in list_wishes(wishes).items()}
    return read, build_preview(read, file.stem, options)


def _show_errors(file: Path, errors: Iterable[FieldError], *, as_json: bool) -> None:
    if not as_json:
        show_errors(file, errors)
        return
    parts = [dict(zip(("line", "key", "message"), _split(error), strict=True)) for error in errors]
    typer.echo(json.dumps({"file": str(file), "errors": parts}, ensure_ascii=False))


def show_errors(file: Path, errors: Iterable[FieldError]) -> None:
    """Writes a line on standard error for everything that is wrong."""
    for error in errors:
        line, key, text = _split(error)
        where = "asktell" if line is None else f"{file}:{line}"
        subject, _, rest = text.partition(" ")
        said = f"{key} {rest}" if line is None and subject == "This" else f"{key}: {text}"
        typer.echo(f"{where}: {said}", err=True)


def _split(error: FieldError) -> tuple[int | None, str, str]:
    """Line, key and message; only what is wrong with an option has no line."""
    match = _LINE.fullmatch(error.message)
    if match is None:
        return None, f"--{error.field}", error.message
    return int(match[1]), error.field, match[2]


def _to_document(file: "SweepFile", preview: "Preview") -> dict[str, Any]:
    spec, settings = preview.spec, preview.settings
    return {
        "dialect": file.dialect,
        "name": file.name,
        "objectives": [asdict(objective) for objective in spec.objectives],
        "sampler": asdict(spec.sampler),
        "pruner": None if spec.pruner is None else asdict(spec.pruner),
        "budget": asdict(settings.budget),
        "parallelism": settings.parallelism,
        "parameters": [_to_row(parameter) for parameter in preview.space.parameters],
        "constants": preview.space.constants,
        "launch": {
            "executor": preview.launch.executor,
            "queue": preview.launch.queue,
            **preview.launch.arguments,
        },
        "example": {"params": preview.params, "command": preview.argv},
        "notes": (*file.notes, *preview.notes),
    }


def _to_row(parameter: "Parameter") -> dict[str, Any]:
    from service.cli.sweep.preview import describe_distribution

    return {
        "name": parameter.name,
        "distribution": describe_distribution(parameter.distribution),
        "reading": None if parameter.reading is None else parameter.reading.describe(),
        "when": parameter.when,
    }


def _describe(file: Path, read: "SweepFile", preview: "Preview", doubt: str) -> Iterator[str]:
    spec, settings = preview.spec, preview.settings
    yield f"{file} is {_DIALECTS[read.dialect]}, and can be run{doubt}."
    yield from _align(
        [
            ("name", read.name or "chosen when it is run"),
            *(("objective", f"{each.direction} {each.name}") for each in spec.objectives),
            ("sampler", _describe_component(spec.sampler)),
            ("pruner", "none" if spec.pruner is None else _describe_component(spec.pruner)),
            ("budget", _describe_limits(asdict(settings.budget))),
            ("parallelism", str(settings.parallelism or "as many as workers have slots")),
            *_describe_launch(preview.launch),
        ]
    )
    yield _head_parameters(preview)
    yield from _align([_describe_parameter(_to_row(each)) for each in preview.space.parameters])
    if preview.space.constants:
        yield "constants"
        yield from _align([(k, json.dumps(v)) for k, v in preview.space.constants.items()])
    if preview.argv is None:
        yield "an example trial gets"
        yield f"  {json.dumps(preview.params)}"
    else:
        yield "an example trial is launched as"
        yield f"  {shlex.join(preview.argv)}"
    if notes := (*read.notes, *preview.notes):
        yield "notes"
        yield from (f"  {note}" for note in notes)


def _head_parameters(preview: "Preview") -> str:
    if preview.sampled_trials is None:
        return "parameters"
    return f"parameters that the Python declared in {preview.sampled_trials} trials"


def _describe_launch(launch: "LaunchSpec") -> Iterator[tuple[str, str]]:
    arguments = launch.arguments
    yield "queue", launch.queue
    yield "executor", launch.executor
    if "directory" in arguments:
        yield "directory", arguments["directory"] or "the worker's"
    if launch.executor == "process":
        return
    if launch.executor == "flyte":
        yield from _describe_flyte(arguments)
        return
    yield from ((key, str(arguments[key])) for key in _OF_WANDB if arguments.get(key) is not None)
    yield "project", arguments["project"] or "the worker's, or uncategorized"
    yield "entity", arguments["entity"] or "the worker's"
    yield "value", f"{arguments['value']} of each objective"


def _describe_flyte(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from ((kind, arguments[kind]) for kind in EntityKind if arguments[kind])
    if arguments["inputs"]:
        yield "inputs", json.dumps(arguments["inputs"])
    yield from (
        ("input", f"{name} for {param}") for param, name in arguments["input_names"].items()
    )
    yield from (("output", f"{name} for {metric}") for metric, name in arguments["outputs"].items())


def _describe_component(component: Component) -> str:
    arguments = (f"{name}={json.dumps(value)}" for name, value in component.args.items())
    return f"{component.type}({', '.join(arguments)})"


def _describe_limits(limits: Mapping[str, Any]) -> str:
    given = [f"{name} {value:g}" for name, value in limits.items() if value is not None]
    return ", ".join(given) or "none: it runs until somebody stops it"


def _describe_parameter(row: Mapping[str, Any]) -> tuple[str, str]:
    text = row["reading"] or row["distribution"]
    conditions = [f"{name} in {json.dumps(values)}" for name, values in row["when"].items()]
    if conditions:
        text += f", when {' and '.join(conditions)}"
    return row["name"], text


def _align(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    rows = list(rows)
    width = max((len(name) for name, _ in rows), default=0)
    return (f"  {name:{width}}  {text}" for name, text in rows)
