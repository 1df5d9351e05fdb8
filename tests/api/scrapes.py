"""Reading `/metrics` the way Prometheus does."""

from collections.abc import Mapping

import httpx
from prometheus_client.parser import text_string_to_metric_families

Series = tuple[str, frozenset[tuple[str, str]]]


class Scrape:
    """One answer of `/metrics`, by name and labels."""

    def __init__(self, text: str) -> None:
        self.values: Mapping[Series, float] = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def read(self, name: str, **labels: str) -> float:
        """A series' value; 0 for one that has not begun."""
        return self.values.get((name, frozenset(labels.items())), 0.0)

    def rise(self, earlier: "Scrape", name: str, **labels: str) -> float:
        """How much a series has risen since an earlier scrape."""
        return self.read(name, **labels) - earlier.read(name, **labels)


async def scrape(api: httpx.AsyncClient) -> Scrape:
    response = await api.get("/metrics")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Scrape(response.text)
