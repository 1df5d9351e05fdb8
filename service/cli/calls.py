"""What commands ask of a server, and its answers as the API documents them.

Records of the SDK are for programs that import it; a command's `--json` shows what the API says.
"""

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import asktell
from asktell import _protocol
from asktell._connection import Connection
from asktell._requests import Request
from asktell._waiting import ask

from service.cli.failures import WrongUse

Document = Mapping[str, Any]

_PAGE_SIZE = 500
_TIMEOUT_SECONDS = 30.0


def call(
    client: asktell.Client,
    method: str,
    path: str,
    *,
    body: Any = None,
    query: Mapping[str, str | list[str]] | None = None,
    adds: bool = False,
) -> Any:
    """The decoded body of the answer; what may pass by itself is tried again.

    Args:
        adds: It makes something new, which a repeat must not make twice.

    Raises:
        asktell.AsktellError: The server refused, or does not answer.
    """
    key = uuid.uuid4().hex if adds else None
    request = Request(method, path, body, query=query or {}, idempotency_key=key)
    return _connect(client).call(request)


def call_once(client: asktell.Client, method: str, path: str, *, body: Any = None) -> Any:
    """As `call`, for what must not be repeated by itself."""
    request = Request(method, path, body)
    return _connect(client).call_once(request, timeout_seconds=_TIMEOUT_SECONDS)


def ask_for_trial(
    client: asktell.Client, study: str, *, wait_seconds: float, **wishes: Any
) -> dict[str, Any]:
    """The trial of an ask; one that comes when this process was told to leave is given back.

    Args:
        wait_seconds: How long to wait for one if there is none now.
        wishes: `params`, `distributions` and `lease_seconds`, as the SDK's protocol takes them.

    Raises:
        WrongUse: No study can have this name.
        asktell.AsktellError: The server refused, or does not answer.
    """
    study_path(study)
    connection = _connect(client)
    asking = ask(connection.server, study, wait_seconds=wait_seconds, count=1, **wishes)
    return dict(connection.run(asking).trials[0])


def list_pages(
    client: asktell.Client,
    path: str,
    noun: str,
    *,
    query: Mapping[str, str | list[str]],
    limit: int | None = None,
) -> Iterator[Document]:
    """The items of a list, page by page, `limit` of them at most.

    Args:
        noun: The field of a page that has them.
    """
    left, cursor = limit, None
    while left != 0:
        size = _PAGE_SIZE if left is None else min(left, _PAGE_SIZE)
        paging = {"limit": str(size), **({} if cursor is None else {"cursor": cursor})}
        page = call(client, "GET", path, query={**query, **paging})
        yield from page[noun]
        left = None if left is None else left - len(page[noun])
        cursor = page["next_cursor"]
        if cursor is None:
            return


def study_path(name: str) -> str:
    """The path of a study, encoded.

    Raises:
        WrongUse: No study can have this name.
    """
    try:
        return _protocol.study_path(name)
    except ValueError as error:
        raise WrongUse(str(error)) from error


def get_sweep(client: asktell.Client, name: str) -> asktell.Sweep:
    """The sweep of a name that a person gave.

    Raises:
        WrongUse: No study can have this name.
        asktell.AsktellError: There is none, or the server does not answer.
    """
    study_path(name)
    return client.get_sweep(name)


def trial_path(name: str, number: int) -> str:
    """The path of a trial; see `study_path`."""
    return f"{study_path(name)}/trials/{number}"


def _connect(client: asktell.Client) -> Connection:
    # The SDK has records for programs, and no public word for an answer as it came.
    return client._connection
