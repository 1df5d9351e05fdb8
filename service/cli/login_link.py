"""`asktell login-link`: let a browser in."""

import typer

from service.cli.calls import call_once
from service.cli.clients import ServerDirOption, UrlOption, open_client
from service.cli.documents import JsonOption, print_json
from service.cli.failures import explain_failures


def login_link(
    *, as_json: JsonOption = False, url: UrlOption = None, data_dir: ServerDirOption = None
) -> None:
    """Print a link that logs one browser in, once, within ten minutes. Needs a running server."""
    with explain_failures(), open_client(url, data_dir) as client:
        link = call_once(client, "POST", "/login-links")
    if as_json:
        print_json(link)
    else:
        typer.echo(link["url"])
