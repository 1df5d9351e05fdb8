"""Where the server is and which token opens it, from arguments, environment and token file."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path

import httpx

from asktell._errors import ConfigurationError

DEFAULT_URL = "http://127.0.0.1:8700"


def find_url(url: str | None, environ: Mapping[str, str]) -> str:
    """The server's address without a trailing slash.

    The argument, ASKTELL_URL, what a server running on this user's data directory has written
    there, or the default.

    Raises:
        ConfigurationError: It is not an http or https address.
    """
    found = url or environ.get("ASKTELL_URL") or _find_local_url(environ) or DEFAULT_URL
    try:
        parsed = httpx.URL(found)
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"{found!r} is not a URL: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigurationError(f"The server's URL looks like {DEFAULT_URL}, not like {found!r}.")
    return found.rstrip("/")


def find_token(token: str | None, environ: Mapping[str, str], *, url: str) -> str:
    """The argument, ASKTELL_TOKEN, or the file that a server on this machine keeps.

    The file is read only for a loopback address: another machine must not be sent its content.

    Raises:
        ConfigurationError: None of the three gives a token.
    """
    found = (token or environ.get("ASKTELL_TOKEN") or "").strip()
    if found:
        return _check_token(found)
    if not is_loopback(url):
        raise ConfigurationError(f"Set ASKTELL_TOKEN, or pass token=, to use {url}.")
    return _check_token(_read_token_file(data_dir(environ) / "token"))


def data_dir(environ: Mapping[str, str]) -> Path:
    """The folder in which a server started by this user keeps its things."""
    if environ.get("ASKTELL_DATA_DIR"):
        return Path(environ["ASKTELL_DATA_DIR"])
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/asktell")
    if environ.get("XDG_DATA_HOME"):
        return Path(environ["XDG_DATA_HOME"]) / "asktell"
    return Path.home() / ".local" / "share" / "asktell"


def is_loopback(url: str) -> bool:
    """Whether this address stays on the machine."""
    host = httpx.URL(url).host
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _find_local_url(environ: Mapping[str, str]) -> str | None:
    try:
        return (data_dir(environ) / "address").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        # No server of this user is running; nothing is known of others.
        return None


def _check_token(token: str) -> str:
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError("The token contains characters that no token has.")
    return token


def _read_token_file(path: Path) -> str:
    try:
        token = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        token = ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The token file {path} cannot be read: {error}") from None
    if not token:
        raise ConfigurationError(
            f"There is no token in {path}: start `asktell serve` on this machine, set "
            "ASKTELL_DATA_DIR to its data directory, or set ASKTELL_URL and ASKTELL_TOKEN."
        )
    return token
