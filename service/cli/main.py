"""`asktell`: the command line of the server."""

from typing import Annotated

import typer

from service import __version__
from service.cli import db, login_link, serve, study, token, worker
from service.cli.sweep import commands as sweep

app = typer.Typer(
    name="asktell",
    help="Optuna studies on Postgres behind ask, report, prune and tell, over HTTP.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(serve.serve)
app.command()(worker.worker)
app.command()(login_link.login_link)
app.add_typer(db.app, name="db")
app.add_typer(study.app, name="study")
app.add_typer(sweep.app, name="sweep")
app.add_typer(token.app, name="token")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"asktell {__version__}")
        raise typer.Exit


@app.callback()
def _describe_all(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Settings are environment variables named ASKTELL_…; options win over them."""
    del version


if __name__ == "__main__":
    app()
