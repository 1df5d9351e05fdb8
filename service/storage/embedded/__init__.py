"""A private Postgres server below a data directory, for running without a database to set up."""

from service.storage.embedded.errors import EmbeddedPostgresError
from service.storage.embedded.open import EmbeddedPostgres, open_embedded_postgres

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError", "open_embedded_postgres"]
