"""`asktell study replay`: derive what a study suggested anew."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.documents import JsonOption
from service.cli.failures import explain_failures
from service.cli.options import DataDirOption, load_settings

if TYPE_CHECKING:
    from service.engine.replay import Replayed


def replay(
    name: Annotated[str, typer.Argument(help="The study's name.")],
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Derive each suggestion of a study anew, from its seed and its recorded order.

    It needs no server, but its database: that of ASKTELL_DATABASE_URL, or the embedded one.
    Exit with 0 if all are as stored, else show the first that is not and exit with 1. Nothing is
    written, and a server may go on with the study meanwhile.
    """
    with explain_failures():
        replayed = _replay(name, data_dir)
    typer.echo(json.dumps(_to_document(name, replayed)) if as_json else _explain(name, replayed))
    if replayed.difference is not None:
        raise typer.Exit(1)


def _replay(name: str, data_dir: Path | None) -> "Replayed":
    # Loading Optuna takes seconds, which other commands need not wait for.
    from service.cli.databases import open_served_database
    from service.cli.running_code import open_code_runner
    from service.engine.replay import replay_study
    from service.storage import schema

    settings = load_settings(data_dir=data_dir)
    with open_served_database(settings) as database, open_code_runner(settings) as code_runner:
        schema.check(database)
        return replay_study(database, name, code_runner=code_runner)


def _to_document(name: str, replayed: "Replayed") -> dict[str, Any]:
    found = replayed.difference
    return {
        "study": name,
        "trials": replayed.n_trials,
        "values": replayed.n_values,
        "difference": None
        if found is None
        else {
            "trial": found.number,
            "param": found.name,
            "stored": found.stored,
            "derived": found.derived,
        },
    }


def _explain(name: str, replayed: "Replayed") -> str:
    found = replayed.difference
    if found is None:
        return (
            f"Study {name!r} repeats exactly: {replayed.n_trials} trials, {replayed.n_values} "
            "values that its sampler chose."
        )
    return (
        f"Study {name!r} does not repeat. The first difference is in trial {found.number}: "
        f"{found.name!r} is {json.dumps(found.stored)}, derived anew it is "
        f"{json.dumps(found.derived)}."
    )
