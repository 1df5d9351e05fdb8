"""Attempts and leases of trials, settings of studies, and the order of late suggestions.

Expand only: there is no way back but a restored backup.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in (*STUDIES, *TRIALS, *SUGGESTIONS):
        op.execute(statement)


STUDIES = (
    """
    ALTER TABLE asktell.studies
        ADD COLUMN settings json NOT NULL DEFAULT '{
            "budget": {"max_trials": null, "max_seconds": null, "max_failures": null,
                       "target": null, "patience": null},
            "parallelism": null,
            "lease_seconds": 3600.0,
            "retry": {"max_attempts": 3, "on": ["lost", "preempted"], "mode": "restart"}}',
        ADD COLUMN is_paused boolean NOT NULL DEFAULT false,
        ADD COLUMN stop_reason text,
        ADD COLUMN started integer NOT NULL DEFAULT 0,
        ADD COLUMN wake_at timestamptz
    """,
    "ALTER TABLE asktell.studies ALTER COLUMN settings DROP DEFAULT",
    "ALTER TABLE asktell.studies DROP CONSTRAINT studies_state_check",
    """
    ALTER TABLE asktell.studies ADD CONSTRAINT studies_state_check
        CHECK (state IN ('active', 'paused', 'stopping', 'finished'))
    """,
    "UPDATE asktell.studies SET stop_reason = 'exhausted' WHERE state = 'finished'",
    """
    UPDATE asktell.studies AS s
    SET started = counted.started,
        wake_at = CASE WHEN s.running > 0 THEN clock_timestamp() + interval '1 hour' END
    FROM (SELECT study_id, count(ask_seq) AS started FROM asktell.trials GROUP BY study_id)
         AS counted
    WHERE counted.study_id = s.study_id
    """,
)

# Trials that run while this happens get the lease that new ones would have got.
TRIALS = (
    """
    ALTER TABLE asktell.trials
        ADD COLUMN phase text NOT NULL DEFAULT 'ended'
            CHECK (phase IN ('queued', 'live', 'expired', 'ended')),
        ADD COLUMN enqueue_seq bigint,
        ADD COLUMN lease_seconds double precision,
        ADD COLUMN lease_expires_at timestamptz
    """,
    "ALTER TABLE asktell.trials ALTER COLUMN phase DROP DEFAULT",
    """
    UPDATE asktell.trials AS own
    SET phase = 'live', lease_seconds = 3600,
        lease_expires_at = clock_timestamp() + interval '1 hour'
    FROM public.trials AS trial
    WHERE trial.trial_id = own.trial_id AND trial.state = 'RUNNING'
    """,
)

SUGGESTIONS = (
    """
    CREATE TABLE asktell.suggestions (
        trial_id integer NOT NULL REFERENCES public.trials ON DELETE CASCADE,
        seq bigint NOT NULL,
        names text[] NOT NULL,
        PRIMARY KEY (trial_id, seq)
    )
    """,
)
