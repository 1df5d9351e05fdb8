"""What Optuna's tables hold of a study, without what differs from study to study."""

from typing import Any

from optuna.trial import FrozenTrial

from tests.contracts.sync_writer import SyncWriter

# Times that a storage took itself differ between two of them; given ones are long past.
_TRIALS = """
SELECT number, state::text,
       CASE WHEN datetime_start > '2020-01-01' THEN 'now' ELSE datetime_start::text END,
       CASE WHEN datetime_complete > '2020-01-01' THEN 'now' ELSE datetime_complete::text END
FROM trials WHERE study_id = %s ORDER BY trial_id
"""

_QUERIES = {
    "trials": _TRIALS,
    "study_directions": """
        SELECT objective, direction::text FROM study_directions WHERE study_id = %s
        ORDER BY study_direction_id""",
    "study_user_attributes": """
        SELECT key, value_json FROM study_user_attributes WHERE study_id = %s
        ORDER BY study_user_attribute_id""",
    "study_system_attributes": """
        SELECT key, value_json FROM study_system_attributes
        WHERE study_id = %s AND key <> 'study:metric_names' ORDER BY study_system_attribute_id""",
    "trial_params": """
        SELECT t.number, param_name, param_value, distribution_json
        FROM trial_params JOIN trials t USING (trial_id)
        WHERE study_id = %s ORDER BY t.number, param_id""",
    "trial_values": """
        SELECT t.number, objective, value, value_type::text
        FROM trial_values JOIN trials t USING (trial_id)
        WHERE study_id = %s ORDER BY t.number, trial_value_id""",
    "trial_intermediate_values": """
        SELECT t.number, step, intermediate_value, intermediate_value_type::text
        FROM trial_intermediate_values JOIN trials t USING (trial_id)
        WHERE study_id = %s ORDER BY t.number, trial_intermediate_value_id""",
    "trial_user_attributes": """
        SELECT t.number, key, value_json FROM trial_user_attributes JOIN trials t USING (trial_id)
        WHERE study_id = %s ORDER BY t.number, trial_user_attribute_id""",
    "trial_system_attributes": """
        SELECT t.number, key, value_json FROM trial_system_attributes JOIN trials t USING (trial_id)
        WHERE study_id = %s ORDER BY t.number, trial_system_attribute_id""",
    "trial_heartbeats": """
        SELECT t.number FROM trial_heartbeats JOIN trials t USING (trial_id)
        WHERE study_id = %s ORDER BY t.number""",
}


def read_rows(writer: SyncWriter, study_id: int) -> dict[str, list[str]]:
    """By table, every row as text; rows of one trial in the order they were first written."""
    return {
        table: [repr(row) for row in writer.fetch(query, (study_id,))]
        for table, query in _QUERIES.items()
    }


def describe(trial: FrozenTrial, *, with_times: bool = True) -> dict[str, Any]:
    """Everything but the id, in a form in which NaN equals NaN and 1 differs from True.

    Only parameters keep their order: plain Optuna reads the rest in any.
    """
    parts = {
        "number": trial.number,
        "state": trial.state,
        "values": repr(trial.values),
        "params": repr(trial.params),
        "distributions": repr(trial.distributions),
        "user_attrs": repr(sorted(trial.user_attrs.items())),
        "system_attrs": repr(sorted(trial.system_attrs.items())),
        "intermediate_values": repr(sorted(trial.intermediate_values.items())),
    }
    if with_times:
        parts["times"] = (trial.datetime_start, trial.datetime_complete)
    return parts
