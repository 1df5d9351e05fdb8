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
        ConfigurationError: It is not an http or https address, or has a user or a password.
    """
    found = url or environ.get("ASKTELL_URL") or _find_local_url(environ) or DEFAULT_URL
    if "@" in found:
        # Not quoted: what is before it may be a password. httpx would send it instead of the token.
        raise ConfigurationError(
            "The server's URL has no @, no user and no password; ASKTELL_TOKEN takes the token."
        )
    try:
        parsed = httpx.URL(found)
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"{found!r} is not a URL: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigurationError(f"The server's URL looks like {DEFAULT_URL}, not like {found!r}.")
    return found.rstrip("/")


def find_token(token: str | None, environ: Mapping[str, str], *, url: str) -> str:
    """The argument, ASKTELL_TOKEN, what ASKTELL_TOKEN_FILE names, or the data directory's token.

    The last one opens the server that runs on the data directory, and goes to no other, be it one
    of this machine: whoever listens there may be somebody else.

    Raises:
        ConfigurationError: None of these gives a token.
    """
    found = (token or environ.get("ASKTELL_TOKEN") or "").strip()
    if found:
        return _check_token(found)
    if named := environ.get("ASKTELL_TOKEN_FILE"):
        return _check_token(_get_named_token(Path(named)))
    return _check_token(_get_own_token(environ, url))


def data_dir(environ: Mapping[str, str]) -> Path:
    """The folder in which a server started by this user keeps its things.

    Raises:
        ConfigurationError: The user has no home directory, and nothing names another folder.
    """
    if environ.get("ASKTELL_DATA_DIR"):
        return Path(environ["ASKTELL_DATA_DIR"])
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/asktell")
    if environ.get("XDG_DATA_HOME"):
        return Path(environ["XDG_DATA_HOME"]) / "asktell"
    try:
        return Path.home() / ".local" / "share" / "asktell"
    except RuntimeError:
        raise ConfigurationError(
            "This user has no home directory: set ASKTELL_URL and ASKTELL_TOKEN, or "
            "ASKTELL_DATA_DIR to the data directory of a server."
        ) from None


def is_loopback(url: str) -> bool:
    """Whether this address stays on the machine."""
    return is_loopback_host(httpx.URL(url).host)


def is_loopback_host(host: str) -> bool:
    """Whether this name or number stands for the machine itself."""
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def find_token_in(path: Path) -> str | None:
    """The token in a file; None if there is no file, or nothing in it.

    Raises:
        ConfigurationError: It cannot be read.
    """
    try:
        return path.read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The token file {path} cannot be read: {error}") from None


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


def _get_named_token(path: Path) -> str:
    token = find_token_in(path)
    if token is None:
        raise ConfigurationError(
            f"ASKTELL_TOKEN_FILE names {path}, which is not there or has nothing in it."
        )
    return token


def _get_own_token(environ: Mapping[str, str], url: str) -> str:
    folder = data_dir(environ)
    address = _find_local_url(environ)
    if address is None:
        raise ConfigurationError(
            f"Set ASKTELL_TOKEN, or pass token=, to use {url}. No server runs on {folder}: start "
            "`asktell serve`, or set ASKTELL_DATA_DIR to the data directory of one that runs."
        )
    if url != address:
        raise ConfigurationError(
            f"Set ASKTELL_TOKEN, or pass token=, to use {url}: the token in {folder} is for "
            f"{address} alone."
        )
    token = find_token_in(folder / "token")
    if token is None:
        raise ConfigurationError(
            f"There is no token in {folder}: the server there was started with another one. Set "
            f"ASKTELL_TOKEN to that, and ASKTELL_URL to {address}."
        )
    return token
