"""How commands reach a server: by its URL, or by the data directory of one on this machine."""

from pathlib import Path
from typing import Annotated, Any

import asktell
import typer

from service.cli.data_dir import find_address, find_token
from service.cli.failures import CannotStart

UrlOption = Annotated[
    str | None, typer.Option("--url", help="The server; ASKTELL_URL, or the one on this machine.")
]
ServerDirOption = Annotated[
    Path | None, typer.Option("--data-dir", help="Data directory of a server on this machine.")
]

# Long enough for a restart of the server; a person who got the address wrong waits no longer.
_DEADLINE_SECONDS = 20.0


def open_client(url: str | None, data_dir: Path | None, **options: Any) -> asktell.Client:
    """A client of the server that the options name, else of the one that the SDK finds.

    Raises:
        CannotStart: The data directory has no token.
        asktell.ConfigurationError: There is no token, or the URL cannot be used.
    """
    options = {"deadline": _DEADLINE_SECONDS, **options}
    if data_dir is None:
        return asktell.Client(url, **options)
    token = find_token(data_dir)
    if token is None:
        raise CannotStart(
            f"There is no token in {data_dir}; start `asktell serve --data-dir {data_dir}` first."
        )
    return asktell.Client(url or find_address(data_dir), token, **options)
