"""Requests to the stand-in for W&B's backend, as the SDK sends them."""

from collections.abc import Callable
from typing import Any

import httpx

from tests.wandb_backend import Backend


def ask(
    backend: Backend,
    query: str,
    *,
    client: httpx.Client | None = None,
    timeout: float = 60,
    **variables: Any,
) -> httpx.Response:
    """Sends a GraphQL request as the SDK does."""
    post: Callable[..., httpx.Response] = client.post if client else httpx.post
    body = {"query": query, "variables": {"entity": "acme", "project": "mnist"} | variables}
    return post(f"{backend.url}/graphql", json=body, auth=("api", backend.api_key), timeout=timeout)


def stream_to(backend: Backend, path: str, body: dict[str, Any]) -> httpx.Response:
    """Sends a run's next part as its core does."""
    address = f"{backend.url}/files/{path}/file_stream"
    return httpx.post(address, json=body, auth=("api", backend.api_key))
