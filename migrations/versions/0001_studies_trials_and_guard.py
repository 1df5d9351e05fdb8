"""Studies, trials, idempotency keys, and the guard on Optuna's tables.

Expand only: there is no way back but a restored backup.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in (*TABLES, *GUARD_FUNCTIONS, *GUARD_TRIGGERS):
        op.execute(statement)


# The rows that every commit updates leave room on their page, so that updates stay heap-only.
# Names sort by code point: a collation that changes with the system's libc would corrupt indexes.
TABLES = (
    """
    CREATE TABLE asktell.studies (
        study_id integer PRIMARY KEY REFERENCES public.studies ON DELETE CASCADE,
        name text COLLATE "C" NOT NULL UNIQUE,
        spec json NOT NULL,
        state text NOT NULL CHECK (state IN ('active', 'finished')),
        last_seq bigint NOT NULL DEFAULT 0,
        revision bigint NOT NULL DEFAULT 0,
        waiting integer NOT NULL DEFAULT 0,
        running integer NOT NULL DEFAULT 0,
        complete integer NOT NULL DEFAULT 0,
        pruned integer NOT NULL DEFAULT 0,
        fail integer NOT NULL DEFAULT 0,
        best_number integer,
        best_value double precision,
        created_at timestamptz NOT NULL,
        last_activity_at timestamptz NOT NULL
    ) WITH (fillfactor = 50)
    """,
    # Optuna has no index by (study_id, number) and lets numbers repeat; this one finds a trial at
    # once and refuses a repeat.
    """
    CREATE TABLE asktell.trials (
        trial_id integer PRIMARY KEY REFERENCES public.trials ON DELETE CASCADE,
        study_id integer NOT NULL,
        number integer NOT NULL CHECK (number >= 0),
        attempt integer NOT NULL,
        ask_seq bigint,
        tell_seq bigint,
        client_id text,
        decision_step integer,
        should_prune boolean NOT NULL DEFAULT false,
        reason text,
        UNIQUE (study_id, number)
    ) WITH (fillfactor = 70)
    """,
    """
    CREATE TABLE asktell.idempotency_keys (
        study_id integer NOT NULL REFERENCES asktell.studies ON DELETE CASCADE,
        operation text NOT NULL,
        key text NOT NULL,
        body_digest bytea NOT NULL,
        answer json NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (study_id, operation, key)
    )
    """,
)

# SECURITY DEFINER, because the roles of plain Optuna clients cannot read schema asktell.
# `touched` is the transition table of whichever statement fired the trigger.
GUARD_FUNCTIONS = (
    # insufficient_privilege, because Optuna wraps that one in StorageInternalError, sentence
    # included, whereas it swallows integrity errors. Except where it creates a trial: there it
    # lets an integrity error through at once and would sleep through five retries of any other.
    """
    CREATE FUNCTION asktell.refuse_foreign_write(study_name text, creates_trial boolean)
    RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
    BEGIN
        RAISE EXCEPTION USING
            ERRCODE = CASE WHEN creates_trial
                THEN 'integrity_constraint_violation' ELSE 'insufficient_privilege' END,
            MESSAGE = format(
                'Study %L is managed by Asktell: write to it through Asktell''s HTTP API.',
                study_name);
    END $$
    """,
    """
    CREATE FUNCTION asktell.guard_rows_of_studies() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DECLARE
        managed text;
    BEGIN
        SELECT s.name INTO managed
        FROM touched JOIN asktell.studies AS s USING (study_id)
        LIMIT 1;
        IF FOUND THEN
            PERFORM asktell.refuse_foreign_write(
                managed, TG_TABLE_NAME = 'trials' AND TG_OP = 'INSERT');
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION asktell.guard_rows_of_trials() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DECLARE
        managed text;
    BEGIN
        SELECT s.name INTO managed
        FROM touched
        JOIN public.trials AS t USING (trial_id)
        JOIN asktell.studies AS s ON s.study_id = t.study_id
        LIMIT 1;
        IF FOUND THEN
            PERFORM asktell.refuse_foreign_write(managed, false);
        END IF;
        RETURN NULL;
    END $$
    """,
    # Before each row: after the statement our own row would be gone already, by its foreign key.
    """
    CREATE FUNCTION asktell.guard_study_delete() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DECLARE
        managed text;
    BEGIN
        SELECT s.name INTO managed FROM asktell.studies AS s WHERE s.study_id = OLD.study_id;
        IF FOUND THEN
            PERFORM asktell.refuse_foreign_write(managed, false);
        END IF;
        RETURN OLD;
    END $$
    """,
    """
    CREATE FUNCTION asktell.guard_truncate() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DECLARE
        managed text;
    BEGIN
        SELECT s.name INTO managed FROM asktell.studies AS s ORDER BY s.name LIMIT 1;
        IF FOUND THEN
            PERFORM asktell.refuse_foreign_write(managed, false);
        END IF;
        RETURN NULL;
    END $$
    """,
)

# A trigger with a transition table takes one event, and its function knows one name for it; an
# update is therefore guarded twice, by the rows as they were and as they became.
GUARD_TRIGGERS = (
    """
    DO $do$
    DECLARE
        tables_of_studies CONSTANT text[] := ARRAY[
            'study_directions', 'study_user_attributes', 'study_system_attributes', 'trials'];
        tables_of_trials CONSTANT text[] := ARRAY[
            'trial_params', 'trial_values', 'trial_intermediate_values', 'trial_user_attributes',
            'trial_system_attributes', 'trial_heartbeats'];
        guarded text;
        guard text;
    BEGIN
        FOREACH guarded IN ARRAY tables_of_studies || tables_of_trials LOOP
            guard := CASE WHEN guarded = ANY (tables_of_studies)
                THEN 'guard_rows_of_studies' ELSE 'guard_rows_of_trials' END;
            EXECUTE format($sql$
                CREATE TRIGGER asktell_guard_insert AFTER INSERT ON public.%I
                REFERENCING NEW TABLE AS touched FOR EACH STATEMENT
                WHEN (current_setting('asktell.engine', true) IS DISTINCT FROM '1')
                EXECUTE FUNCTION asktell.%I()
                $sql$, guarded, guard);
            EXECUTE format($sql$
                CREATE TRIGGER asktell_guard_update_from AFTER UPDATE ON public.%I
                REFERENCING OLD TABLE AS touched FOR EACH STATEMENT
                WHEN (current_setting('asktell.engine', true) IS DISTINCT FROM '1')
                EXECUTE FUNCTION asktell.%I()
                $sql$, guarded, guard);
            EXECUTE format($sql$
                CREATE TRIGGER asktell_guard_update_to AFTER UPDATE ON public.%I
                REFERENCING NEW TABLE AS touched FOR EACH STATEMENT
                WHEN (current_setting('asktell.engine', true) IS DISTINCT FROM '1')
                EXECUTE FUNCTION asktell.%I()
                $sql$, guarded, guard);
            EXECUTE format($sql$
                CREATE TRIGGER asktell_guard_delete AFTER DELETE ON public.%I
                REFERENCING OLD TABLE AS touched FOR EACH STATEMENT
                WHEN (current_setting('asktell.engine', true) IS DISTINCT FROM '1')
                EXECUTE FUNCTION asktell.%I()
                $sql$, guarded, guard);
        END LOOP;
        FOREACH guarded IN ARRAY ARRAY['studies'] || tables_of_studies || tables_of_trials LOOP
            EXECUTE format($sql$
                CREATE TRIGGER asktell_guard_truncate BEFORE TRUNCATE ON public.%I
                FOR EACH STATEMENT
                WHEN (current_setting('asktell.engine', true) IS DISTINCT FROM '1')
                EXECUTE FUNCTION asktell.guard_truncate()
                $sql$, guarded);
        END LOOP;
    END $do$
    """,
    """
    CREATE TRIGGER asktell_guard_update AFTER UPDATE ON public.studies
    REFERENCING OLD TABLE AS touched FOR EACH STATEMENT
    WHEN (current_setting('asktell.engine', true) IS DISTINCT FROM '1')
    EXECUTE FUNCTION asktell.guard_rows_of_studies()
    """,
    """
    CREATE TRIGGER asktell_guard_delete BEFORE DELETE ON public.studies
    FOR EACH ROW
    WHEN (current_setting('asktell.engine', true) IS DISTINCT FROM '1')
    EXECUTE FUNCTION asktell.guard_study_delete()
    """,
)
