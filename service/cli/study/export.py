"""`asktell study export`, also of sweeps: all trials as a table."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from service.cli.arguments import write_text
from service.cli.calls import study_path
from service.cli.clients import ServerDirOption, UrlOption, open_client
from service.cli.failures import explain_failures


def export(
    name: Annotated[str, typer.Argument(help="The study, or the sweep.")],
    form: Annotated[Literal["csv", "json"], typer.Option("--format", help="csv or json.")] = "csv",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A file instead of standard output.")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="As --format json.")] = False,
    url: UrlOption = None,
    data_dir: ServerDirOption = None,
) -> None:
    """Write all trials as a table: the columns are those of Optuna's dataframe."""
    with explain_failures(), open_client(url, data_dir) as client:
        study_path(name)
        text = client.get_study(name).export("json" if as_json else form)
        if output is not None:
            write_text(output, text)
    if output is None:
        typer.echo(text.removesuffix("\n"))
