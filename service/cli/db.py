"""`asktell db`: migrations of the database."""

from pathlib import Path

import typer

from service.cli.documents import JsonOption, print_json
from service.cli.failures import explain_failures
from service.cli.options import DataDirOption, load_settings

app = typer.Typer(
    help="Migrate the database of ASKTELL_DATABASE_URL, or the embedded one, and check it.",
    no_args_is_help=True,
)


@app.command()
def upgrade(*, as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """Bring the database to the schema of this version.

    Safe to repeat, and to run on several machines at once. Its tables are made if there are none.
    """
    _run(data_dir, upgrading=True, as_json=as_json)


@app.command()
def check(*, as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """Exit with 0 if the database has the schema of this version, else with 1.

    A server may be using it meanwhile.
    """
    _run(data_dir, upgrading=False, as_json=as_json)


def _run(data_dir: Path | None, *, upgrading: bool, as_json: bool) -> None:
    # Loading SQLAlchemy and Alembic takes a second, which other commands need not wait for.
    from service.cli.databases import open_database, open_served_database
    from service.storage import schema

    with explain_failures():
        settings = load_settings(data_dir=data_dir)
        if upgrading:
            with open_database(settings) as database:
                schema.upgrade(database)
        else:
            with open_served_database(settings) as database:
                schema.check(database)
    if as_json:
        print_json({"is_current": True})
    else:
        typer.echo("The database has the schema of this version.")
