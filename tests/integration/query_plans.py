"""How Postgres runs a query."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psycopg

Params = Mapping[str, Any] | Sequence[Any]


class Plan:
    """How Postgres ran a query: each node with what it read.

    Attributes:
        text: For whoever has to find out why it is not as it should be.
    """

    def __init__(self, connection: psycopg.Connection, query: str, params: Params) -> None:
        row = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", params).fetchone()
        assert row is not None
        self._nodes = list(self._walk(row[0][0]["Plan"]))
        self.text = "\n".join(map(_describe, self._nodes))

    def _walk(self, node: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield node
        for child in node.get("Plans", ()):
            yield from self._walk(child)

    @property
    def indexes(self) -> set[str]:
        return {node["Index Name"] for node in self._nodes if "Index Name" in node}

    @property
    def used_indexes(self) -> set[str]:
        nodes = (node for node in self._nodes if node["Actual Loops"])
        return {node["Index Name"] for node in nodes if "Index Name" in node}

    @property
    def scans_whole_tables(self) -> bool:
        return any(node["Node Type"] == "Seq Scan" for node in self._nodes)

    @property
    def most_rows(self) -> float:
        return max(node["Actual Rows"] * node["Actual Loops"] for node in self._nodes)


def _describe(node: dict[str, Any]) -> str:
    rows = node["Actual Rows"] * node["Actual Loops"]
    return f"{node['Node Type']} {node.get('Index Name') or node.get('Relation Name')}: {rows:g}"
