"""`asktell db`: migrations of the database."""

from pathlib import Path

import typer

from service.cli.failures import explain_failures
from service.cli.options import DataDirOption, load_settings

app = typer.Typer(
    help="Migrate the database of ASKTELL_DATABASE_URL, or the embedded one, and check it.",
    no_args_is_help=True,
)


@app.command()
def upgrade(data_dir: DataDirOption = None) -> None:
    """Bring the database to the schema of this version. Safe to repeat, and to run at once."""
    _run(data_dir, upgrading=True)


@app.command()
def check(data_dir: DataDirOption = None) -> None:
    """Exit with 0 if the database has the schema of this version, else with 1."""
    _run(data_dir, upgrading=False)


def _run(data_dir: Path | None, *, upgrading: bool) -> None:
    # Loading SQLAlchemy and Alembic takes a second, which other commands need not wait for.
    from service.cli.databases import open_database
    from service.storage import schema

    with explain_failures():
        settings = load_settings(data_dir=data_dir)
        with open_database(settings) as database:
            if upgrading:
                schema.upgrade(database)
            else:
                schema.check(database)
    typer.echo("The database has the schema of this version.")
