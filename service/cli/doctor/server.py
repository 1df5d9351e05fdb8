"""The server that commands of this machine would talk to."""

import os
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path

import asktell
import httpx
from asktell._settings import data_dir as find_data_dir
from asktell._settings import is_loopback

from service import __version__
from service.cli.calls import call_once
from service.cli.clients import (
    ADVICE_TO_SERVE,
    choose_environ,
    explain_left_address,
    find_server,
)
from service.cli.data_dir import ADDRESS_FILE
from service.cli.doctor.findings import Finding, Verdict, doubtful, right, wrong
from service.cli.failures import CannotStart, WrongUse

_SERVER = "server"
_TOKEN = "token"  # noqa: S105  a subject
_CLOCK = "clock"
_TIMEOUT_SECONDS = 5.0
_MOST_SECONDS_APART = 10


def check_server(url: str | None, data_dir: Path | None) -> Iterator[Finding]:
    """Whether it answers, is of this version, takes the token, and has the same time.

    Args:
        url: As for other commands.
        data_dir: Likewise.
    """
    environ = choose_environ(data_dir)
    try:
        address, token = find_server(url, environ)
    except WrongUse as error:
        yield wrong(_SERVER, str(error), "See --url and ASKTELL_URL.")
        return
    except (CannotStart, asktell.ConfigurationError) as error:
        yield _describe_no_token(str(error), is_wanted=_is_wanted(url, environ))
        return
    answer = _look(address)
    if isinstance(answer, httpx.ConnectError) and (left := explain_left_address(url, environ)):
        yield wrong(_SERVER, left, ADVICE_TO_SERVE)
        return
    if isinstance(answer, httpx.TransportError):
        yield _describe_no_answer(address, answer, is_wanted=_is_wanted(url, environ))
        return
    found = judge_answer(address, answer)
    yield found
    if found.verdict is Verdict.WRONG:
        return
    with asktell.Client(address, token, deadline=_TIMEOUT_SECONDS, max_retries=0) as client:
        yield _check_token(client)
    yield from compare_clocks(answer.headers, time.time())


def judge_answer(url: str, answer: httpx.Response) -> Finding:
    """What the answer to a look at its health says of a server."""
    version = answer.headers.get("Asktell-Version")
    if version is None:
        return wrong(_SERVER, f"what answers at {url} is not Asktell", "See ASKTELL_URL.")
    if not answer.is_success:
        advice = "See its log, and whether its database runs."
        return wrong(_SERVER, f"{url}, {version}, is not ready", advice)
    if version != __version__:
        advice = f"This is {__version__}: install the same version on both sides."
        return doubtful(_SERVER, f"{url}, {version}, is another version", advice)
    return right(_SERVER, f"{url}, {version}")


def compare_clocks(headers: Mapping[str, str], now: float) -> Iterator[Finding]:
    """How far the time of a server is from `now`, in seconds since the epoch; nothing if unsaid."""
    if "date" not in headers:
        return
    apart = abs(parsedate_to_datetime(headers["date"]).timestamp() - now)
    if apart > _MOST_SECONDS_APART:
        words = f"{apart:.0f} s from the server's"
        yield doubtful(_CLOCK, words, "Let both machines keep the time by NTP.")
    else:
        yield right(_CLOCK, "as the server's, as far as whole seconds tell")


def _is_wanted(url: str | None, environ: Mapping[str, str]) -> bool:
    """Whether somebody has said that there is a server, or one has left its address."""
    if url or environ.get("ASKTELL_URL"):
        return True
    try:
        return os.path.lexists(find_data_dir(environ) / ADDRESS_FILE)
    except asktell.ConfigurationError:
        # The user has no home directory, where a server's would be.
        return False


def _look(url: str) -> httpx.Response | httpx.TransportError:
    try:
        # Proxies of the environment are for the outside.
        with httpx.Client(trust_env=not is_loopback(url), timeout=_TIMEOUT_SECONDS) as http:
            return http.get(f"{url}/readyz")
    except httpx.TransportError as error:
        return error


def _describe_no_token(message: str, *, is_wanted: bool) -> Finding:
    if is_wanted:
        return wrong(_TOKEN, message)
    return doubtful(_SERVER, "none is known here", message)


def _describe_no_answer(url: str, why: httpx.TransportError, *, is_wanted: bool) -> Finding:
    advice = "Start `asktell serve`, or name another server by ASKTELL_URL and ASKTELL_TOKEN."
    words = f"no answer from {url} ({type(why).__name__}: {why})"
    return wrong(_SERVER, words, advice) if is_wanted else doubtful(_SERVER, words, advice)


def _check_token(client: asktell.Client) -> Finding:
    try:
        call_once(client, "GET", "/studies?limit=1")
    except asktell.AuthenticationError:
        advice = (
            "Set ASKTELL_TOKEN to one of this server, which `asktell token create` makes. Unset, "
            "it is that of the server on this machine."
        )
        return wrong(_TOKEN, "the server does not take it", advice)
    except asktell.ApiError as error:
        if error.code == "scope-missing":
            return doubtful(_TOKEN, "good, but not for looking at studies", error.message)
        return wrong(_TOKEN, f"the server refused a look at its studies: {error}")
    except asktell.ApiConnectionError as error:
        return wrong(_TOKEN, str(error))
    return right(_TOKEN, "the server takes it")
