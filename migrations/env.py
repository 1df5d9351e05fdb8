"""Runs the migrations of schema `asktell` on the connection that the service hands over.

`service.storage.schema.upgrade` holds the lock and brings Optuna's own tables up first, so there
is no way in that goes around it.
"""

from alembic import context
from sqlalchemy import Connection


def run_migrations() -> None:
    connection = context.config.attributes.get("connection")
    if not isinstance(connection, Connection):
        raise SystemExit("Migrate with `asktell db upgrade`: Alembic alone skips Optuna's tables.")
    context.configure(connection=connection, version_table_schema="asktell")
    with context.begin_transaction():
        context.run_migrations()


run_migrations()
