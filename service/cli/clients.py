"""How commands reach a server: by its URL, or by the data directory of one on this machine."""

from pathlib import Path
from typing import Annotated, Any

import asktell
import typer
from asktell._settings import find_token, find_url

UrlOption = Annotated[
    str | None, typer.Option("--url", help="The server; ASKTELL_URL, or the one on this machine.")
]
ServerDirOption = Annotated[
    Path | None, typer.Option("--data-dir", help="Data directory of a server on this machine.")
]

# Long enough for a restart of the server; a person who got the address wrong waits no longer.
_DEADLINE_SECONDS = 20.0


def open_client(
    url: str | None, data_dir: Path | None, *, token: str | None = None, **options: Any
) -> asktell.Client:
    """A client of the server that the options name, else of the one that the SDK finds.

    Args:
        data_dir: Whose server is meant, whatever the environment says. Its token goes to no other.
        token: Instead of the one that the SDK finds.

    Raises:
        asktell.ConfigurationError: There is no token, no server runs on the data directory, or the
            URL cannot be used.
    """
    if data_dir is not None:
        named = {"ASKTELL_DATA_DIR": str(data_dir)}
        url = find_url(url, named)
        own = find_token(None, named, url=url)
        token = token or own
    return asktell.Client(url, token, **{"deadline": _DEADLINE_SECONDS, **options})
