"""`asktell study create`: a study from options, a file, or both."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from service.cli.arguments import (
    leave_out_none,
    parse_component,
    parse_document,
    parse_pairs,
    read_text,
)
from service.cli.calls import call, study_path
from service.cli.clients import ServerDirOption, UrlOption, open_client
from service.cli.documents import JsonOption, print_json
from service.cli.failures import WrongUse, explain_failures

Direction = Literal["minimize", "maximize"]
_DIRECTIONS = ("minimize", "maximize")


def create(
    name: Annotated[str, typer.Argument(help="Name of the study; anything without a slash.")],
    direction: Annotated[
        Direction | None, typer.Option(help="Which way its value improves; minimize by default.")
    ] = None,
    objectives: Annotated[
        list[str] | None,
        typer.Option(
            "--objective",
            metavar="NAME=DIRECTION",
            help="Instead of --direction, once for each of several objectives.",
        ),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(
            metavar="JSON|FILE", help="Parameters by name; without it each trial declares its own."
        ),
    ] = None,
    python: Annotated[
        Path | None,
        typer.Option(help="A file with objective(trial), sampler() or pruner() to run there."),
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS|JSON|FILE", help="One of Optuna, with type and args; TPESampler."
        ),
    ] = None,
    pruner: Annotated[
        str | None,
        typer.Option(metavar="CLASS|JSON|FILE", help="One of Optuna, with type and args; none."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Base of every random draw.")] = None,
    max_trials: Annotated[
        int | None, typer.Option("--trials", min=1, help="How many trials to start in all.")
    ] = None,
    parallelism: Annotated[int | None, typer.Option(min=1, help="Trials at a time.")] = None,
    lease_seconds: Annotated[
        float | None,
        typer.Option(min=1, help="A trial that is not heard of for so long is lost; an hour."),
    ] = None,
    attrs: Annotated[
        list[str] | None,
        typer.Option("--attr", metavar="NAME=VALUE", help="Kept with the study; repeat it."),
    ] = None,
    document: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="JSON|FILE",
            help="The body of POST /studies, which has more settings; options win over it.",
        ),
    ] = None,
    *,
    loads: Annotated[
        bool, typer.Option("--load", help="Be content with one that was created alike.")
    ] = False,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data_dir: ServerDirOption = None,
) -> None:
    """Create a study. A study whose trials workers launch is a sweep: see `asktell sweep run`."""
    with explain_failures(), open_client(url, data_dir) as client:
        study_path(name)
        body = parse_document(document, "--from") if document else {}
        body |= leave_out_none(
            space=parse_document(space, "--space") if space else None,
            python={"source": read_text(python)} if python else None,
            sampler=parse_component(sampler, "--sampler") if sampler else None,
            pruner=parse_component(pruner, "--pruner") if pruner else None,
            seed=seed,
            parallelism=parallelism,
            lease_seconds=lease_seconds,
            user_attrs=parse_pairs(attrs, "--attr") if attrs else None,
            if_exists="load" if loads else None,
        )
        _choose_goal(body, direction, objectives or ())
        _limit(body, max_trials)
        study = call(client, "POST", "/studies", body={**body, "name": name}, adds=True)
    if as_json:
        print_json(study)
    else:
        typer.echo(f"Study {study['name']} is {study['state']}.")


def _choose_goal(
    body: dict[str, Any], direction: Direction | None, objectives: Sequence[str]
) -> None:
    """Puts it into the body, in place of what is there."""
    if direction and objectives:
        raise WrongUse("Give either --direction, or --objective for each of several.")
    if not (direction or objectives) and body.keys() & {"direction", "objectives"}:
        return
    body.pop("direction", None)
    body.pop("objectives", None)
    if objectives:
        body["objectives"] = [_parse_objective(objective) for objective in objectives]
    else:
        body["direction"] = direction or "minimize"


def _parse_objective(text: str) -> dict[str, str]:
    name, _, direction = text.rpartition("=")
    if not name or direction not in _DIRECTIONS:
        raise WrongUse(f"--objective takes NAME=minimize or NAME=maximize, not {text!r}.")
    return {"name": name, "direction": direction}


def _limit(body: dict[str, Any], max_trials: int | None) -> None:
    if max_trials is None:
        return
    budget = body.get("budget") or {}
    if not isinstance(budget, dict):
        raise WrongUse("`budget` in --from is an object, such as {max_trials: 100}.")
    body["budget"] = {**budget, "max_trials": max_trials}
