"""`asktell`: the command line."""

from typing import Annotated

import typer

from service import __version__
from service.cli import db, login_link, serve, token, trials, worker
from service.cli.demo.command import demo
from service.cli.doctor.command import doctor
from service.cli.failures import Commands
from service.cli.study import commands as study
from service.cli.sweep import commands as sweep

_BEGINNING = "Beginning"
_STUDIES = "Studies and their trials"
_SWEEPS = "Sweeps, whose trials workers launch"
_RUNNING = "Running a server"

app = typer.Typer(
    name="asktell",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command(rich_help_panel=_BEGINNING)(demo)
app.command(rich_help_panel=_BEGINNING)(serve.serve)
app.command(rich_help_panel=_BEGINNING)(login_link.login_link)
app.command(rich_help_panel=_BEGINNING)(doctor)
app.add_typer(study.app, name="study", rich_help_panel=_STUDIES)
app.command(rich_help_panel=_STUDIES)(trials.ask)
app.command(rich_help_panel=_STUDIES, context_settings=trials.NEGATIVE_NUMBERS)(trials.report)
app.command(rich_help_panel=_STUDIES, context_settings=trials.NEGATIVE_NUMBERS)(trials.tell)
app.add_typer(sweep.app, name="sweep", rich_help_panel=_SWEEPS)
app.command(rich_help_panel=_SWEEPS)(worker.worker)
app.add_typer(token.app, name="token", rich_help_panel=_RUNNING)
app.add_typer(db.app, name="db", rich_help_panel=_RUNNING)


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
    """Optuna studies on Postgres behind ask, report, prune and tell, over HTTP.

    Settings are environment variables named ASKTELL_…; options win over them. Commands that need a
    server find the one of this machine by themselves; --url and ASKTELL_TOKEN name another one.
    """
    del version


if __name__ == "__main__":
    app()
