"""Lists in pages, as GraphQL connections."""

from typing import Any

from tests.wandb_backend.world import Variables

_DEFAULT_PAGE_SIZE = 50


def cut_page(nodes: list[dict[str, Any]], variables: Variables) -> dict[str, Any]:
    """The page that the variables ask for; a cursor is the number of the next node."""
    size = variables.get("perPage") or variables.get("first") or _DEFAULT_PAGE_SIZE
    start = int(variables.get("cursor") or 0)
    end = min(start + size, len(nodes))
    edges = [{"node": nodes[i], "cursor": str(i + 1)} for i in range(start, end)]
    page_info = {
        "__typename": "PageInfo",
        "endCursor": str(end),
        "hasNextPage": end < len(nodes),
    }
    return {"edges": edges, "pageInfo": page_info, "totalCount": len(nodes)}
