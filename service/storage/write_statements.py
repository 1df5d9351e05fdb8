"""What the writer executes: one statement a table, whose parameters are columns as arrays."""

# One row per trial that was created, in number order so that trial ids rise with numbers.
INSERT_TRIALS = """
INSERT INTO trials (trial_id, number, study_id, state, datetime_start, datetime_complete)
SELECT u.trial_id, u.number, u.study_id, u.state::trialstate, u.started, u.completed
FROM unnest(%s::int[], %s::int[], %s::int[], %s::text[], %s::timestamp[], %s::timestamp[])
     AS u (trial_id, number, study_id, state, started, completed)
"""

# A state changes only from the state the engine saw.
UPDATE_STATES = """
UPDATE trials t
SET state = u.state::trialstate,
    datetime_start = coalesce(u.started, t.datetime_start),
    datetime_complete = coalesce(u.completed, t.datetime_complete)
FROM unnest(%s::int[], %s::text[], %s::text[], %s::timestamp[], %s::timestamp[])
     AS u (trial_id, expected, state, started, completed)
WHERE t.trial_id = u.trial_id AND t.state = u.expected::trialstate
"""

# A parameter is chosen once: a second choice is an error, not an overwrite.
INSERT_PARAMS = """
INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)
SELECT * FROM unnest(%s::int[], %s::text[], %s::float8[], %s::text[])
"""

UPSERT_VALUES = """
INSERT INTO trial_values (trial_id, objective, value, value_type)
SELECT u.trial_id, u.objective, u.value, u.value_type::trialvaluetype
FROM unnest(%s::int[], %s::int[], %s::float8[], %s::text[])
     AS u (trial_id, objective, value, value_type)
ON CONFLICT (trial_id, objective)
DO UPDATE SET value = excluded.value, value_type = excluded.value_type
"""

UPSERT_INTERMEDIATE_VALUES = """
INSERT INTO trial_intermediate_values
    (trial_id, step, intermediate_value, intermediate_value_type)
SELECT u.trial_id, u.step, u.value, u.value_type::trialintermediatevaluetype
FROM unnest(%s::int[], %s::int[], %s::float8[], %s::text[])
     AS u (trial_id, step, value, value_type)
ON CONFLICT (trial_id, step)
DO UPDATE SET intermediate_value = excluded.intermediate_value,
              intermediate_value_type = excluded.intermediate_value_type
"""

UPSERT_TRIAL_USER_ATTRS = """
INSERT INTO trial_user_attributes (trial_id, key, value_json)
SELECT * FROM unnest(%s::int[], %s::text[], %s::text[])
ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json
"""

UPSERT_TRIAL_SYSTEM_ATTRS = """
INSERT INTO trial_system_attributes (trial_id, key, value_json)
SELECT * FROM unnest(%s::int[], %s::text[], %s::text[])
ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json
"""

UPSERT_STUDY_USER_ATTRS = """
INSERT INTO study_user_attributes (study_id, key, value_json)
SELECT * FROM unnest(%s::int[], %s::text[], %s::text[])
ON CONFLICT (study_id, key) DO UPDATE SET value_json = excluded.value_json
"""

UPSERT_STUDY_SYSTEM_ATTRS = """
INSERT INTO study_system_attributes (study_id, key, value_json)
SELECT * FROM unnest(%s::int[], %s::text[], %s::text[])
ON CONFLICT (study_id, key) DO UPDATE SET value_json = excluded.value_json
"""

# A further attempt of a trial finds nothing that pruners would hold against it.
DELETE_REPORTS = """
DELETE FROM trial_intermediate_values WHERE trial_id = ANY (%s::int[])
"""

DELETE_RUNGS = """
DELETE FROM trial_system_attributes
WHERE trial_id = ANY (%s::int[]) AND starts_with(key, 'completed_rung_')
"""

UPSERT_RECORDS = """
INSERT INTO asktell.trials
    (trial_id, study_id, number, attempt, phase, ask_seq, tell_seq, enqueue_seq, client_id,
     lease_seconds, lease_expires_at, decision_step, should_prune, reason)
SELECT * FROM unnest(%s::int[], %s::int[], %s::int[], %s::int[], %s::text[], %s::bigint[],
                     %s::bigint[], %s::bigint[], %s::text[], %s::float8[], %s::timestamptz[],
                     %s::int[], %s::bool[], %s::text[])
ON CONFLICT (trial_id)
DO UPDATE SET attempt = excluded.attempt, phase = excluded.phase, ask_seq = excluded.ask_seq,
              tell_seq = excluded.tell_seq, client_id = excluded.client_id,
              lease_seconds = excluded.lease_seconds,
              lease_expires_at = excluded.lease_expires_at,
              decision_step = excluded.decision_step, should_prune = excluded.should_prune,
              reason = excluded.reason
"""

UPSERT_LAUNCHES = """
INSERT INTO asktell.attempts
    (study_id, number, attempt, state, claim, worker_id, worker_name, host, external_ref, stop,
     claimed_at, started_at, ended_at, exit_code, signal, reason, url, note)
SELECT * FROM unnest(%s::int[], %s::int[], %s::int[], %s::text[], %s::int[], %s::text[],
                     %s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[],
                     %s::timestamptz[], %s::timestamptz[], %s::int[], %s::int[], %s::text[],
                     %s::text[], %s::text[])
ON CONFLICT (study_id, number, attempt)
DO UPDATE SET state = excluded.state, claim = excluded.claim, worker_id = excluded.worker_id,
              worker_name = excluded.worker_name, host = excluded.host,
              external_ref = excluded.external_ref, stop = excluded.stop,
              started_at = excluded.started_at, ended_at = excluded.ended_at,
              exit_code = excluded.exit_code, signal = excluded.signal, reason = excluded.reason,
              url = excluded.url, note = excluded.note
"""

# What a trial's own code declared, and when: needed to draw it again in the same order.
INSERT_SUGGESTIONS = """
INSERT INTO asktell.suggestions (trial_id, seq, names)
SELECT u.trial_id, u.seq, ARRAY(SELECT json_array_elements_text(u.names::json))
FROM unnest(%s::int[], %s::bigint[], %s::text[]) AS u (trial_id, seq, names)
"""

UPDATE_SETTINGS = """
UPDATE asktell.studies s SET settings = u.settings::json
FROM unnest(%s::int[], %s::text[]) AS u (study_id, settings)
WHERE s.study_id = u.study_id
"""

# A key that is there already has outlived its time: the engine knows all others.
UPSERT_REPLIES = """
INSERT INTO asktell.idempotency_keys (study_id, operation, key, body_digest, answer, created_at)
SELECT u.study_id, u.operation, u.key, u.body_digest, u.answer::json, u.created_at
FROM unnest(%s::int[], %s::text[], %s::text[], %s::bytea[], %s::text[], %s::timestamptz[])
     AS u (study_id, operation, key, body_digest, answer, created_at)
ON CONFLICT (study_id, operation, key)
DO UPDATE SET body_digest = excluded.body_digest, answer = excluded.answer,
              created_at = excluded.created_at
"""

# The summary row; its revision is also the fence against a second owner of the study. A sweep
# waits from when it last got a trial started, or began to want one.
UPDATE_PROGRESS = """
UPDATE asktell.studies s
SET revision = u.revision, last_seq = u.last_seq, state = u.state,
    is_paused = u.is_paused, stop_reason = u.stop_reason, started = u.started,
    wake_at = u.wake_at, waiting = u.waiting, running = u.running, complete = u.complete,
    pruned = u.pruned, fail = u.fail,
    best_number = u.best_number, best_value = u.best_value, wanted = u.wanted,
    waiting_since = CASE
        WHEN u.wanted = 0 THEN NULL
        WHEN u.wanted = s.wanted AND u.started = s.started
            THEN coalesce(s.waiting_since, clock_timestamp())
        ELSE clock_timestamp() END,
    last_activity_at = clock_timestamp()
FROM unnest(%s::int[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::bool[],
            %s::text[], %s::int[], %s::timestamptz[], %s::int[], %s::int[], %s::int[], %s::int[],
            %s::int[], %s::int[], %s::float8[], %s::int[])
     AS u (study_id, revision_before, revision, last_seq, state, is_paused, stop_reason, started,
           wake_at, waiting, running, complete, pruned, fail, best_number, best_value, wanted)
WHERE s.study_id = u.study_id AND s.revision = u.revision_before
"""
