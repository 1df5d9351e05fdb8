"""What tests of lists of trials ask."""

from typing import Any

import httpx


async def list_pages(api: httpx.AsyncClient, study: str, **query: Any) -> list[list[int]]:
    """Numbers of the trials of each page."""
    pages: list[list[int]] = []
    while pages == [] or "cursor" in query:
        response = await api.get(f"{study}/trials", params=query)
        assert response.status_code == 200, response.text
        page = response.json()
        pages.append([trial["number"] for trial in page["trials"]])
        query["cursor"] = page["next_cursor"]
        if page["next_cursor"] is None:
            del query["cursor"]
    return pages
