"""Lists in pages, as admin cuts them."""

from typing import Any, TypeVar

import grpc

from tests.flyte_admin.world import Refused

Found = TypeVar("Found")


def cut_page(found: list[Found], request: Any) -> tuple[list[Found], str]:
    """The page that a ResourceListRequest asks for, and the token of the next one.

    A full page has a token even if nothing follows.

    Raises:
        Refused: There is no limit, or no such token.
    """
    if request.limit == 0:
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "invalid value for limit")
    if request.token and not request.token.isdecimal():
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"invalid pagination token {request.token}")
    start = int(request.token or 0)
    page = found[start : start + request.limit]
    return page, str(start + len(page)) if len(page) == request.limit else ""
