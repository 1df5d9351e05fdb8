"""`asktell token`: access for people, programs and workers."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import asktell
import typer

from service.cli.calls import Document, call_once
from service.cli.clients import ServerDirOption, UrlOption, open_client
from service.cli.documents import JsonOption, print_json
from service.cli.failures import WrongUse, explain_failures
from service.cli.new_files import open_new_file
from service.cli.tables import print_table
from service.cli.token_file import has_good_token
from service.domain.scopes import TokenScope

app = typer.Typer(
    help="Make, list and revoke tokens. Needs a running server, and an administrator's token.",
    no_args_is_help=True,
)

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"([1-9][0-9]{0,4})([smhdw])")

NameArgument = Annotated[str, typer.Argument(help="Whose it is, or where it lies.")]


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
    file: Annotated[
        Path | None,
        typer.Option(
            help="Write it to this file, for its owner alone, instead of printing it. If a good "
            "token of this name and scope is in there, it stays; one whose file was lost is "
            "revoked."
        ),
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
        if file is None:
            _print_made(_create(body, url, data_dir), as_json=as_json)
            return
        if has_good_token(file, name=name, scope=scope, url=url, data_dir=data_dir):
            made, words = body, f"{file} has a good token of the name {name!r} already."
        else:
            made, words = _create_in(file, body, url, data_dir), f"The token {name!r} is in {file}."
    if as_json:
        print_json(made)
    else:
        typer.echo(words, err=True)


@app.command("ls")
def list_tokens(
    *, as_json: JsonOption = False, url: UrlOption = None, data_dir: ServerDirOption = None
) -> None:
    """List the tokens that were made, by name; the server's own is not among them."""
    with explain_failures():
        found = _call("GET", "/tokens", url, data_dir)
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
        _call("DELETE", f"/tokens/{quote(name, safe='')}", url, data_dir)
    if as_json:
        print_json({"revoked": name})
    else:
        typer.echo(f"The token {name!r} opens nothing any more.")


def _call(method: str, path: str, url: str | None, data_dir: Path | None, body: Any = None) -> Any:
    with open_client(url, data_dir) as client:
        # A creation must not be repeated by itself, or the token that is printed is not the one
        # that was made.
        return call_once(client, method, path, body=body)


def _create(body: Document, url: str | None, data_dir: Path | None) -> dict[str, Any]:
    made: dict[str, Any] = _call("POST", "/tokens", url, data_dir, body=body)
    return made


def _create_in(
    file: Path, body: Document, url: str | None, data_dir: Path | None
) -> dict[str, Any]:
    """Writes the token to the file, and revokes an older one of its name; returns the rest."""
    # Before any token is made or revoked: the file may be where none can be.
    with open_new_file(file) as new:
        try:
            made = _create(body, url, data_dir)
        except asktell.ConflictError:
            _call("DELETE", f"/tokens/{quote(body['name'], safe='')}", url, data_dir)
            made = _create(body, url, data_dir)
        new.replace(made.pop("token"))
    return made


def _print_made(made: Document, *, as_json: bool) -> None:
    if as_json:
        print_json(made)
        return
    typer.echo("Set it as ASKTELL_TOKEN where it is needed; it is not shown again:", err=True)
    typer.echo(made["token"])


def _parse_span(text: str) -> timedelta:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise WrongUse(f"--expires-in takes spans such as 90m, 12h, 30d or 4w, not {text!r}.")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _print_tokens(tokens: Sequence[Mapping[str, Any]], now: datetime) -> None:
    if not tokens:
        typer.echo("There are none; `asktell token create NAME --scope user` makes one.")
        return
    rows = [
        (
            token["name"],
            token["scope"],
            _name_state(token, now),
            _show_time(token["expires_at"]),
            _show_time(token["last_used_at"]),
        )
        for token in tokens
    ]
    print_table(("token", "scope", "state", "expires", "last used"), rows)


def _show_time(text: str | None) -> str:
    return "never" if text is None else f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M}Z"


def _name_state(token: Mapping[str, Any], now: datetime) -> str:
    if token["revoked_at"] is not None:
        return "revoked"
    ends = token["expires_at"]
    return "expired" if ends is not None and datetime.fromisoformat(ends) <= now else "good"
