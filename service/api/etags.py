"""Conditional GET: entity tags over revisions, so that polling costs no rendering."""

import hashlib
from collections.abc import Iterable

import orjson
from fastapi import Request, Response

from service import __version__
from service.api.answers import JsonAnswer
from service.domain.studies import StudySummary


def compute_etag(query: Iterable[object], rows: Iterable[StudySummary]) -> str:
    """A strong entity tag over what was asked and the revisions of the studies answered.

    The server's version is part of it, since another version may render the same rows otherwise.

    Args:
        query: Whatever JSON can hold.
    """
    # The time too: released and adopted, a study counts its revisions from 0 again.
    revisions = [(row.study_id, row.created_at, row.revision) for row in rows]
    digest = hashlib.sha256(orjson.dumps([__version__, list(query), revisions]))
    return f'"{digest.hexdigest()[:32]}"'


def build_not_modified(request: Request, etag: str) -> Response | None:
    """304, if the client says that it has this version already."""
    wanted = request.headers.getlist("if-none-match")
    if not any(_matches(header, etag) for header in wanted):
        return None
    return Response(status_code=304, headers=_build_headers(etag))


def build_tagged_answer(content: object, etag: str) -> Response:
    """200 with an entity tag; caches must ask again before they use it."""
    return JsonAnswer(content, headers=_build_headers(etag))


def _matches(header: str, etag: str) -> bool:
    # If-None-Match compares weakly (RFC 9110, 13.1.2): proxies that compress add W/.
    tags = (tag.strip().removeprefix("W/") for tag in header.split(","))
    return header.strip() == "*" or etag in tags


def _build_headers(etag: str) -> dict[str, str]:
    return {"ETag": etag, "Cache-Control": "no-cache"}
