"""`asktell serve`: run the server until it is told to stop."""

from typing import Annotated

import typer

from service.cli.failures import explain_failures
from service.cli.loading import loading_modules
from service.cli.options import DataDirOption, load_settings


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 picks a free one.")] = None,
    data_dir: DataDirOption = None,
    migrate: Annotated[
        bool, typer.Option("--migrate", help="Migrate a database given by URL first.")
    ] = False,
) -> None:
    """Run the server until Ctrl-C or SIGTERM: the API, the pages, and a worker for sweeps.

    Without ASKTELL_DATABASE_URL it starts a Postgres of its own in the data directory. It prints
    its address, and a link that lets one browser in.
    """
    # Loading the server takes seconds, which commands that only talk to one need not wait for.
    with loading_modules():
        from service.cli.server import run_server

    with explain_failures():
        settings = load_settings(host=host, port=port, data_dir=data_dir)
        run_server(settings, migrate=migrate)
