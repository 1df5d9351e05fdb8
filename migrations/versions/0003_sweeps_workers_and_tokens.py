"""Sweeps, the attempts that workers handle, their logs, the workers themselves, and tokens.

Expand only: there is no way back but a restored backup.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in (*STUDIES, *SWEEPS, *ATTEMPTS, *WORKERS, *TOKENS):
        op.execute(statement)


STUDIES = (
    """
    ALTER TABLE asktell.studies
        ADD COLUMN wanted integer NOT NULL DEFAULT 0,
        ADD COLUMN waiting_since timestamptz
    """,
    # What idle workers look for every second. Rows of plain studies are not in it, and their
    # updates stay heap-only.
    """
    CREATE INDEX studies_wanting ON asktell.studies (waiting_since) WHERE wanted > 0
    """,
)

SWEEPS = (
    """
    CREATE TABLE asktell.sweeps (
        study_id integer PRIMARY KEY REFERENCES asktell.studies ON DELETE CASCADE,
        sweep_id text COLLATE "C" NOT NULL UNIQUE CHECK (sweep_id ~ '^[0-9a-z]{8}$'),
        executor text NOT NULL,
        queue text NOT NULL,
        arguments json NOT NULL
    )
    """,
)

ATTEMPTS = (
    """
    CREATE TABLE asktell.attempts (
        study_id integer NOT NULL REFERENCES asktell.studies ON DELETE CASCADE,
        number integer NOT NULL,
        attempt integer NOT NULL,
        state text NOT NULL
            CHECK (state IN ('launching', 'running', 'stopping', 'succeeded', 'failed', 'pruned',
                             'cancelled', 'preempted', 'lost')),
        claim integer NOT NULL,
        worker_id text NOT NULL,
        worker_name text NOT NULL,
        host text NOT NULL,
        external_ref text,
        stop text CHECK (stop IN ('pruned', 'cancelled')),
        claimed_at timestamptz NOT NULL,
        started_at timestamptz,
        ended_at timestamptz,
        exit_code integer,
        signal integer,
        reason text,
        PRIMARY KEY (study_id, number, attempt)
    ) WITH (fillfactor = 70)
    """,
    # What a worker that comes back is given again.
    """
    CREATE INDEX attempts_open_by_worker ON asktell.attempts (worker_id) WHERE ended_at IS NULL
    """,
    """
    CREATE TABLE asktell.attempt_logs (
        study_id integer NOT NULL,
        number integer NOT NULL,
        attempt integer NOT NULL,
        first_byte bigint NOT NULL,
        content bytea NOT NULL,
        PRIMARY KEY (study_id, number, attempt, first_byte),
        FOREIGN KEY (study_id, number, attempt) REFERENCES asktell.attempts ON DELETE CASCADE
    )
    """,
)

WORKERS = (
    """
    CREATE TABLE asktell.workers (
        worker_id text PRIMARY KEY,
        name text NOT NULL,
        host text NOT NULL,
        queue text NOT NULL,
        executors text[] NOT NULL,
        slots integer NOT NULL,
        busy integer NOT NULL,
        state text NOT NULL CHECK (state IN ('active', 'draining')),
        version text NOT NULL,
        started_at timestamptz NOT NULL,
        last_seen_at timestamptz NOT NULL
    ) WITH (fillfactor = 50)
    """,
)

TOKENS = (
    """
    CREATE TABLE asktell.tokens (
        name text COLLATE "C" PRIMARY KEY,
        scope text NOT NULL CHECK (scope IN ('admin', 'user', 'worker')),
        digest bytea NOT NULL UNIQUE,
        created_at timestamptz NOT NULL,
        expires_at timestamptz,
        last_used_at timestamptz,
        revoked_at timestamptz
    )
    """,
)
