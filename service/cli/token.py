"""`asktell token`: access for people, programs and workers."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from asktell._connection import Connection, Request
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.cli.clients import ServerDirOption, UrlOption, open_client
from service.cli.documents import print_json
from service.cli.failures import CannotStart, explain_failures
from service.domain.scopes import TokenScope

app = typer.Typer(
    help="Make, list and revoke tokens. Needs a running server, and an administrator's token.",
    no_args_is_help=True,
)

_TIMEOUT_SECONDS = 30.0
_PIPE_WIDTH = 400
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"([1-9][0-9]{0,4})([smhdw])")

NameArgument = Annotated[str, typer.Argument(help="Whose it is, or where it lies.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command()
def create(
    name: NameArgument,
    scope: Annotated[
        TokenScope,
        typer.Option(
            help="admin: everything; user: studies and sweeps, hence to start what programs the "
            "workers allow; worker: for workers."
        ),
    ],
    expires_in: Annotated[
        str | None, typer.Option(help="Such as 12h, 30d or 4w; left out: never.")
    ] = None,
    *,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data_dir: ServerDirOption = None,
) -> None:
    """Make a token and print it, this once: the server keeps only a digest of it."""
    body = {"name": name, "scope": scope.value}
    with explain_failures():
        if expires_in is not None:
            body["expires_at"] = (datetime.now(UTC) + _parse_span(expires_in)).isoformat()
        made = _call(Request("POST", "/tokens", body=body), url, data_dir)
    if as_json:
        print_json(made)
    else:
        typer.echo("Set it as ASKTELL_TOKEN where it is needed; it is not shown again:", err=True)
        typer.echo(made["token"])


@app.command("ls")
def list_tokens(
    *, as_json: JsonOption = False, url: UrlOption = None, data_dir: ServerDirOption = None
) -> None:
    """List the tokens that were made, by name; the server's own is not among them."""
    with explain_failures():
        found = _call(Request("GET", "/tokens"), url, data_dir)
    if as_json:
        print_json(found)
    else:
        _print_tokens(found["tokens"], datetime.now(UTC))


@app.command()
def revoke(
    name: NameArgument,
    *,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data_dir: ServerDirOption = None,
) -> None:
    """Make a token worthless, within five seconds. Its name is free for another one then."""
    with explain_failures():
        _call(Request("DELETE", f"/tokens/{quote(name, safe='')}"), url, data_dir)
    if as_json:
        print_json({"revoked": name})
    else:
        typer.echo(f"The token {name!r} opens nothing any more.")


def _call(request: Request, url: str | None, data_dir: Path | None) -> Any:
    with open_client(url, data_dir) as client:
        # The SDK has no words of its own for tokens: programs do not make them. A creation must
        # not be repeated by itself, or the token that is printed is not the one that was made.
        connection: Connection = client._connection
        return connection.call_once(request, timeout_seconds=_TIMEOUT_SECONDS)


def _parse_span(text: str) -> timedelta:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise CannotStart(f"--expires-in takes spans such as 90m, 12h, 30d or 4w, not {text!r}.")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _print_tokens(tokens: Sequence[Mapping[str, Any]], now: datetime) -> None:
    if not tokens:
        typer.echo("There are none; `asktell token create NAME --scope user` makes one.")
        return
    table = Table("token", "scope", "state", "expires", "last used", box=SIMPLE_HEAD)
    for token in tokens:
        row = (token["name"], token["scope"], _name_state(token, now))
        times = (token["expires_at"] or "never", token["last_used_at"] or "never")
        # Names are text, whatever brackets they have.
        table.add_row(*map(Text, (*row, *times)))
    console = Console()
    (console if console.is_terminal else Console(width=_PIPE_WIDTH)).print(table)


def _name_state(token: Mapping[str, Any], now: datetime) -> str:
    if token["revoked_at"] is not None:
        return "revoked"
    ends = token["expires_at"]
    return "expired" if ends is not None and datetime.fromisoformat(ends) <= now else "good"
