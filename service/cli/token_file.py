"""A file with a token of somebody else's, for machines and containers that are set up by script."""

from pathlib import Path

import asktell
from asktell._settings import find_token_in

from service.cli.calls import call
from service.cli.clients import open_client
from service.cli.failures import CannotStart
from service.domain.scopes import TokenScope


def has_good_token(
    path: Path, *, name: str, scope: TokenScope, url: str | None, data_dir: Path | None
) -> bool:
    """Whether the file has a token of this name and scope that still opens the server.

    Raises:
        CannotStart: It has another one that does, which somebody may be using.
    """
    token = find_token_in(path)
    if token is None:
        return False
    try:
        with open_client(url, data_dir, token=token) as client:
            told = call(client, "GET", "/session")
    except (asktell.AuthenticationError, asktell.ConfigurationError):
        return False
    if (told["name"], told["scope"]) != (name, scope):
        raise CannotStart(
            f"{path} has the token {told['name']!r} with the scope {told['scope']}, which is good: "
            "choose another file, or revoke it first."
        )
    return True
