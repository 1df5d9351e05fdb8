"""`asktell study`: list, show, change and delete studies."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import asktell
import typer

from service.cli.arguments import leave_out_none, parse_component, parse_pairs
from service.cli.calls import Document, call, list_pages, study_path
from service.cli.clients import ServerDirOption, UrlOption, open_client
from service.cli.documents import JsonOption, print_json
from service.cli.failures import CannotStart, WrongUse, explain_failures
from service.cli.imports.command import import_trials
from service.cli.study.create import create
from service.cli.study.export import export
from service.cli.study.limits import set_limits
from service.cli.study.replay import replay
from service.cli.study.tables import (
    TRIAL_FIELDS,
    print_best,
    print_studies,
    print_study,
    print_trials,
)
from service.cli.study.trial_list import list_shown_trials, list_whole_trials

app = typer.Typer(
    help="Make studies, look at them, change and delete them. Needs a running server.",
    no_args_is_help=True,
)
app.command()(create)

_SHOWN_TRIALS = 20

NameArgument = Annotated[str, typer.Argument(help="The study.")]


@app.command("ls")
def list_studies(
    state: Annotated[
        str | None, typer.Option(help="Only active, paused, stopping or finished ones.")
    ] = None,
    contains: Annotated[
        str | None, typer.Option("--name", help="Only those with this in their name.")
    ] = None,
    *,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data_dir: ServerDirOption = None,
) -> None:
    """List studies by name."""
    query = leave_out_none(state=state, q=contains)
    with explain_failures(), open_client(url, data_dir) as client:
        studies = list(list_pages(client, "/studies", "studies", query=query))
    if as_json:
        print_json({"studies": studies})
    else:
        print_studies(studies, datetime.now(UTC))


@app.command()
def show(
    name: NameArgument,
    *,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data_dir: ServerDirOption = None,
) -> None:
    """Show a study: its trials in numbers, its best one, what it searches and how."""
    with explain_failures(), open_client(url, data_dir) as client:
        study = call(client, "GET", study_path(name))
        if not as_json:
            best = call(client, "GET", f"{study_path(name)}/best") if study["best"] else None
            used = [] if study["space"] else _list_used(client, name)
    if as_json:
        print_json(study)
    else:
        print_study(study, best, used, datetime.now(UTC))


@app.command()
def best(
    name: NameArgument,
    *,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data_dir: ServerDirOption = None,
) -> None:
    """Show the best trial, or with several objectives all that no other one beats in each.

    With --json that is the trial, or {"trials": […]}. Exit with 1 if there is none yet.
    """
    with explain_failures(), open_client(url, data_dir) as client:
        study = call(client, "GET", study_path(name))
        is_one = len(study["objectives"]) == 1
        path = f"{study_path(name)}/{'best' if is_one else 'pareto'}"
        is_table = not (is_one or as_json)
        found = call(client, "GET", path, query={"fields": TRIAL_FIELDS} if is_table else None)
        if not is_one and not found["trials"]:
            raise CannotStart(f"Study {name!r} has no complete trial yet.")
    if as_json:
        print_json(found)
    elif is_one:
        print_best(study, found)
    else:
        print_trials(study, found["trials"])


@app.command()
def trials(
    name: NameArgument,
    state: Annotated[
        list[str] | None,
        typer.Option(
            help="Only WAITING, RUNNING, COMPLETE, PRUNED or FAIL ones; repeat it for several."
        ),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION",
            help="Only those for whose parameter or objective it holds, such as 'lr<0.01' or "
            "'optimizer=adam', with <, <=, >, >=, = or !=; repeat it, and all must hold.",
        ),
    ] = None,
    order: Annotated[
        Literal["oldest", "newest", "best"], typer.Option(help="Which ones come first.")
    ] = "newest",
    limit: Annotated[
        int | None,
        typer.Option(min=1, help=f"How many; {_SHOWN_TRIALS} by default, with --json all."),
    ] = None,
    *,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data_dir: ServerDirOption = None,
) -> None:
    """List the trials of a study."""
    query: dict[str, str | list[str]] = {"order": order}
    query |= {"state": [word.upper() for word in state]} if state else {}
    query |= {"where": where} if where else {}
    shown = limit if as_json else limit or _SHOWN_TRIALS
    with explain_failures(), open_client(url, data_dir) as client:
        study = call(client, "GET", study_path(name))
        list_trials = list_whole_trials if as_json else list_shown_trials
        found = list_trials(client, study, query, shown)
    if as_json:
        print_json({"trials": found})
        return
    print_trials(study, found)
    if limit is None and len(found) == shown:
        typer.echo(f"The {order} {shown}; --limit shows more.")


@app.command()
def enqueue(
    name: NameArgument,
    params: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME=VALUE...", help="The sampler chooses those left out."),
    ] = None,
    attrs: Annotated[
        list[str] | None,
        typer.Option("--attr", metavar="NAME=VALUE", help="Kept with the trial; repeat it."),
    ] = None,
    *,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data_dir: ServerDirOption = None,
) -> None:
    """Let the next ask hand out these parameters."""
    with explain_failures(), open_client(url, data_dir) as client:
        trial = {
            "params": parse_pairs(params or (), "A parameter"),
            "user_attrs": parse_pairs(attrs or (), "--attr"),
        }
        path = f"{study_path(name)}/enqueue"
        answer = call(client, "POST", path, body={"trials": [trial]}, adds=True)
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"Trial {answer['numbers'][0]} of {name} waits to be asked for.")


@app.command()
def pause(
    name: NameArgument,
    *,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data_dir: ServerDirOption = None,
) -> None:
    """Start no trials until `resume`; those that run go on."""
    _change_state(name, "pause", as_json=as_json, url=url, data_dir=data_dir)


@app.command()
def resume(
    name: NameArgument,
    *,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data_dir: ServerDirOption = None,
) -> None:
    """Start trials again after `pause` or `stop`."""
    _change_state(name, "resume", as_json=as_json, url=url, data_dir=data_dir)


@app.command()
def stop(
    name: NameArgument,
    *,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data_dir: ServerDirOption = None,
) -> None:
    """Start no trials any more; those that run are the last ones."""
    _change_state(name, "stop", as_json=as_json, url=url, data_dir=data_dir)


@app.command()
def delete(
    name: NameArgument,
    is_certain: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    *,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data_dir: ServerDirOption = None,
) -> None:
    """Delete a study and all its trials, for good. Asks before, where there is a terminal."""
    with explain_failures(), open_client(url, data_dir) as client:
        count = call(client, "GET", study_path(name))["counts"]["total"]
        if not is_certain:
            _make_certain(name, count)
        client.delete_study(name)
    if as_json:
        print_json({"deleted": name})
    else:
        typer.echo(f"Study {name} and its {count} trials are deleted.")


@app.command()
def adopt(
    name: NameArgument,
    sampler: Annotated[
        str | None, typer.Option(help="Class of Optuna, or JSON with type and args; TPESampler.")
    ] = None,
    pruner: Annotated[
        str | None, typer.Option(help="Class of Optuna, or JSON with type and args; none.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Base of every random draw.")] = None,
    max_trials: Annotated[
        int | None, typer.Option("--trials", min=1, help="How many more trials to start.")
    ] = None,
    parallelism: Annotated[int | None, typer.Option(min=1, help="Trials at a time.")] = None,
    *,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data_dir: ServerDirOption = None,
) -> None:
    """Take in a study that plain Optuna made in the server's database."""
    with explain_failures(), open_client(url, data_dir) as client:
        body = leave_out_none(
            sampler=parse_component(sampler, "--sampler") if sampler else None,
            pruner=parse_component(pruner, "--pruner") if pruner else None,
            seed=seed,
            budget={"max_trials": max_trials} if max_trials else None,
            parallelism=parallelism,
        )
        study = call(client, "POST", f"{study_path(name)}/adopt", body=body)
    _tell_state(study, as_json=as_json)


@app.command()
def release(
    name: NameArgument,
    force: Annotated[bool, typer.Option("--force", help="Fail the trials that run.")] = False,
    *,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data_dir: ServerDirOption = None,
) -> None:
    """Hand a study back to plain Optuna, which may write to it then."""
    with explain_failures(), open_client(url, data_dir) as client:
        answer = call(client, "POST", f"{study_path(name)}/release", body={"force": force})
    if as_json:
        print_json(answer)
        return
    failed = ", ".join(map(str, answer["failed"]))
    typer.echo(f"Study {name} is Optuna's own." + (f" Failed trials: {failed}." if failed else ""))


def _list_used(client: asktell.Client, name: str) -> list[Document]:
    """From what parameters were drawn that no space declares."""
    path = f"{study_path(name)}/distributions"
    used: list[Document] = call(client, "GET", path)["distributions"]
    return used


def _change_state(
    name: str, action: str, *, as_json: bool, url: str | None, data_dir: Path | None
) -> None:
    with explain_failures(), open_client(url, data_dir) as client:
        study = call(client, "POST", f"{study_path(name)}/{action}")
    _tell_state(study, as_json=as_json)


def _tell_state(study: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(study)
    else:
        typer.echo(f"Study {study['name']} is {study['state']}.")


def _make_certain(name: str, count: int) -> None:
    if not sys.stdin.isatty():
        raise WrongUse(f"Study {name!r} has {count} trials; --yes deletes it without asking.")
    if not typer.confirm(f"Delete study {name} and its {count} trials, for good?", err=True):
        raise CannotStart("Nothing was deleted.")


app.command("set")(set_limits)
app.command()(export)
app.command("import")(import_trials)
app.command()(replay)
