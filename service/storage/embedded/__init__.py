"""A private Postgres server below a data directory, for running without a database to set up."""

from service.storage.embedded.errors import EmbeddedPostgresError
from service.storage.embedded.open import EmbeddedPostgres, open_embedded_postgres
from service.storage.embedded.running import find_running_postgres

__all__ = [
    "EmbeddedPostgres",
    "EmbeddedPostgresError",
    "find_running_postgres",
    "open_embedded_postgres",
]
