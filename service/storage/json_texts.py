"""JSON as it comes from the database, to be read where it holds nobody up."""

import json

from psycopg.rows import DictRow


def keep_json(text: str | bytes) -> bytes:
    """A loader for psycopg that leaves JSON as it came."""
    return text.encode() if isinstance(text, str) else bytes(text)


def parse_row(row: DictRow) -> DictRow:
    """A row that `Reads.fetch_texts` gave, with its JSON read."""
    return {
        name: json.loads(value) if isinstance(value, bytes) else value
        for name, value in row.items()
    }
