"""What outside systems have of a sweep: pages of attempts, and a sweep of their own.

Expand only: there is no way back but a restored backup.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in (ATTEMPTS, MIRRORS, OPEN_STUDIES, OPEN_MIRRORS):
        op.execute(statement)


ATTEMPTS = """
ALTER TABLE asktell.attempts ADD COLUMN url text, ADD COLUMN note text
"""

# A row for each sweep that wants one, from its creation on.
MIRRORS = """
CREATE TABLE asktell.mirrors (
    study_id integer PRIMARY KEY REFERENCES asktell.studies ON DELETE CASCADE,
    external_ref text,
    url text,
    agreed text CHECK (agreed IN ('running', 'paused', 'finished', 'cancelled')),
    problem text,
    worker_id text,
    kept_until timestamptz
) WITH (fillfactor = 70)
"""

# What workers look for every second: mirrors of what goes on, and those that are yet to end.
OPEN_STUDIES = """
CREATE INDEX studies_open ON asktell.studies (study_id) WHERE state <> 'finished'
"""

OPEN_MIRRORS = """
CREATE INDEX mirrors_open ON asktell.mirrors (study_id)
WHERE external_ref IS NOT NULL AND (agreed IS NULL OR agreed NOT IN ('finished', 'cancelled'))
"""
