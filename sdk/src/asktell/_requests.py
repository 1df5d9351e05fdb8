"""Requests as they leave and answers as they arrive, whoever carries them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from asktell._json import dump
from asktell._problems import read_problem
from asktell._texts import encode_text


@dataclass(frozen=True, slots=True)
class Request:
    """A request that may be repeated without doing twice what it asks for.

    What adds something new (a study, an ask, a queued or imported trial) carries an idempotency
    key, chosen by whoever builds the request and hence before any retry; all others are
    idempotent by content.

    Attributes:
        yaml: A body that is YAML; `body` is the one that becomes JSON.
        wait_seconds: How long the server may hold back its answer, because it was asked to.
    """

    method: str
    path: str
    body: Any = None
    yaml: str | None = None
    query: Mapping[str, str | list[str]] = field(default_factory=dict)
    idempotency_key: str | None = None
    wait_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """The final answer to a request.

    Attributes:
        is_after_doubt: An earlier try may have taken effect: it was sent, no answer came.
    """

    response: httpx.Response
    is_after_doubt: bool

    @property
    def document(self) -> Any:
        """The decoded body.

        Raises:
            ApiError: The server refused, or what answered is not Asktell.
        """
        self._raise_refusal()
        if self.response.status_code == 204:
            return None
        try:
            return self.response.json()
        except ValueError:
            raise read_problem(self.response) from None

    @property
    def text(self) -> str:
        """The body as it is.

        Raises:
            ApiError: The server refused.
        """
        self._raise_refusal()
        return self.response.text

    def _raise_refusal(self) -> None:
        if not self.response.is_success:
            raise read_problem(self.response)


def encode_body(request: Request) -> bytes | None:
    """The body as bytes, if there is one."""
    if request.yaml is not None:
        return encode_text(request.yaml)
    return None if request.body is None else dump(request.body)


def build_query(request: Request) -> Mapping[str, str | list[str]] | None:
    """The query, if there is one.

    Raises:
        ValueError: There is text in it that is no Unicode.
    """
    for values in request.query.values():
        encode_text("".join(values))
    return request.query or None


def build_headers(request: Request) -> dict[str, str]:
    """The headers that are this request's own."""
    headers = {"Accept": "application/json"}
    if request.yaml is not None:
        headers["Content-Type"] = "application/yaml"
    elif request.body is not None:
        headers["Content-Type"] = "application/json"
    if request.idempotency_key is not None:
        headers["Idempotency-Key"] = request.idempotency_key
    return headers
