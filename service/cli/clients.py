"""How commands reach a server: by its URL, or by the data directory of one on this machine."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import asktell
import httpx
import typer
from asktell._settings import data_dir as find_data_dir
from asktell._settings import find_token, find_url

from service.cli.data_dir import ADDRESS_FILE, find_address
from service.cli.failures import CannotStart, WrongUse

UrlOption = Annotated[
    str | None, typer.Option("--url", help="The server; ASKTELL_URL, or the one on this machine.")
]
ServerDirOption = Annotated[
    Path | None, typer.Option("--data-dir", help="Data directory of a server on this machine.")
]

ADVICE_TO_SERVE = "Start `asktell serve`, which writes it anew."

# Long enough for a restart of the server; a person who got the address wrong waits no longer.
_DEADLINE_SECONDS = 20.0


@contextmanager
def open_client(
    url: str | None, data_dir: Path | None, *, token: str | None = None, **options: Any
) -> Iterator[asktell.Client]:
    """A client of the server that the options name, else of the one that the SDK finds.

    Args:
        data_dir: Whose server is meant, whatever the environment says. Its token goes to no other.
        token: Instead of the one that the SDK finds.

    Raises:
        WrongUse: The URL cannot be used.
        CannotStart: No server runs on the data directory, in the block too, or its token is not for
            the one that is meant.
        asktell.ConfigurationError: There is no token, or it cannot be one.
    """
    environ = choose_environ(data_dir)
    found_url, found_token = find_server(url, environ, token=token)
    with asktell.Client(found_url, found_token, **{"deadline": _DEADLINE_SECONDS, **options}) as it:
        try:
            yield it
        except asktell.ApiConnectionError as error:
            left = explain_left_address(url, environ)
            if left is None or not isinstance(error.__cause__, httpx.ConnectError):
                raise
            raise CannotStart(f"{left} {ADVICE_TO_SERVE}") from error


def choose_environ(data_dir: Path | None) -> Mapping[str, str]:
    """What says where the server is, if options do not: a data directory alone, if one is meant."""
    return os.environ if data_dir is None else {"ASKTELL_DATA_DIR": str(data_dir)}


def find_server(
    url: str | None, environ: Mapping[str, str], *, token: str | None = None
) -> tuple[str, str]:
    """The address of the server that is meant, and the token for it; see `open_client`."""
    try:
        found = find_url(url, environ)
    except asktell.ConfigurationError as error:
        raise WrongUse(str(error)) from error
    if not _has_token(token, environ):
        _require_own(found, find_data_dir(environ), is_named=_is_named(url, environ))
    return found, token or find_token(None, environ, url=found)


def explain_left_address(url: str | None, environ: Mapping[str, str]) -> str | None:
    """Why nobody listens, if the address was read where a server that was killed has left it."""
    if _is_named(url, environ):
        return None
    folder = find_data_dir(environ)
    address = find_address(folder)
    if address is None:
        return None
    written = datetime.fromtimestamp((folder / ADDRESS_FILE).stat().st_mtime, UTC)
    return (
        f"No server runs on {folder}: nothing listens at {address}, which its address file of "
        f"{written:%Y-%m-%d %H:%M}Z names. The server that wrote it was killed, or is in a "
        "container of its own."
    )


def _is_named(url: str | None, environ: Mapping[str, str]) -> bool:
    return bool(url or environ.get("ASKTELL_URL"))


def _has_token(token: str | None, environ: Mapping[str, str]) -> bool:
    return bool(token or environ.get("ASKTELL_TOKEN") or environ.get("ASKTELL_TOKEN_FILE"))


def _require_own(url: str, folder: Path, *, is_named: bool) -> None:
    """Checks that the token of a data directory may go there: to the server that runs on it."""
    address = find_address(folder)
    if address == url:
        return
    if address is not None:
        raise CannotStart(
            f"Set ASKTELL_TOKEN to use {url}: the token in {folder} is for {address} alone."
        )
    if is_named:
        raise CannotStart(f"Set ASKTELL_TOKEN to use {url}: no server runs on {folder}.")
    raise CannotStart(
        f"No server runs on {folder}. Start `asktell serve`, name the data directory of one by "
        "--data-dir or ASKTELL_DATA_DIR, or one elsewhere by ASKTELL_URL and ASKTELL_TOKEN."
    )
