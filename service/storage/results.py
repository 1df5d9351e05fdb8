"""What complete, feasible trials of a study reached, and which of them are the best."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from psycopg.rows import DictRow

from service.domain.studies import Direction, Objective
from service.storage.encoding import decode_float

# Constraints are read as text, because Optuna writes NaN and infinities, which JSON has not.
LIST_RESULTS = """
SELECT own.number,
       json_agg(json_build_array(value.value_type::text, value.value) ORDER BY value.objective)
           AS objective_values,
       (SELECT json_agg(json_build_array(key, value_json) ORDER BY trial_system_attribute_id)
        FROM public.trial_system_attributes
        WHERE trial_id = own.trial_id
          AND (key = 'constraints' OR starts_with(key, 'constraints:'))) AS constraints
FROM asktell.trials AS own
JOIN public.trials AS trial USING (trial_id)
JOIN public.trial_values AS value USING (trial_id)
WHERE own.study_id = %(study_id)s AND trial.state = 'COMPLETE'
GROUP BY own.trial_id
ORDER BY own.number
"""

# How queries begin that compare trials by the value of the only objective: `finished` has all that
# ended; `scored` the complete ones, their value turned by a sign so that lower is better.
# A constraint is violated where a number without a minus has a digit that is not 0. Subqueries go
# through indexes, however many trials other studies have; a join may read whole tables.
SCORE_TRIALS = """
WITH finished AS MATERIALIZED (
    SELECT own.trial_id, own.number, trial.state, trial.datetime_complete
    FROM asktell.trials AS own JOIN public.trials AS trial USING (trial_id)
    WHERE own.study_id = %(study_id)s AND trial.state IN ('COMPLETE', 'PRUNED', 'FAIL')
), scored AS MATERIALIZED (
    SELECT trial_id, number,
           (SELECT %(sign)s * CASE value_type WHEN 'INF_POS' THEN 'Infinity'
                                              WHEN 'INF_NEG' THEN '-Infinity' ELSE value END
            FROM public.trial_values
            WHERE trial_id = finished.trial_id AND objective = 0) AS loss,
           (SELECT bool_or(value_json ~ '(^|[[,[:space:]])(Infinity|true|[0-9.]*[1-9])')
            FROM public.trial_system_attributes
            WHERE trial_id = finished.trial_id
              AND (key = 'constraints' OR starts_with(key, 'constraints:'))
           ) IS TRUE AS is_infeasible
    FROM finished
    WHERE %(sign)s <> 0 AND state = 'COMPLETE'
)
"""

_LIST_KEY = "constraints"
_NAMED_PREFIX = "constraints:"

_Losses = np.ndarray[tuple[int, int], np.dtype[np.float64]]
_Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class Result:
    """The values of one trial, one per objective."""

    number: int
    values: tuple[float, ...]


def build_results(rows: Iterable[DictRow]) -> list[Result]:
    """The feasible ones among the rows of `LIST_RESULTS`; no constraints at all are feasible."""
    return [
        Result(row["number"], tuple(decode_float(value, kind) for kind, value in values))
        for row in rows
        if _is_feasible(row["constraints"]) and (values := row["objective_values"])
    ]


def build_constraints(attrs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Constraints from a trial's system attributes, as `optuna.trial.FrozenTrial.constraints`.

    Optuna keeps them as one list, whose names are positions, or as one attribute for each name.
    """
    texts = dict(attrs)
    listed = json.loads(texts.get(_LIST_KEY, "[]"))
    named = {
        key.removeprefix(_NAMED_PREFIX): json.loads(text)
        for key, text in texts.items()
        if key.startswith(_NAMED_PREFIX)
    }
    return {str(position): value for position, value in enumerate(listed)} | named


def choose_sign(objectives: Sequence[Objective]) -> int:
    """What turns the value of the only objective so that lower is better; 0 for several."""
    if len(objectives) > 1:
        return 0
    return 1 if objectives[0].direction is Direction.MINIMIZE else -1


def find_front(results: Sequence[Result], objectives: Sequence[Objective]) -> list[int]:
    """Numbers of the results that no other one dominates, rising.

    One dominates another if it is nowhere worse and somewhere better; equals do not dominate each
    other. With one objective these are all the results with the best value. The same trials as
    `optuna.Study.best_trials`.
    """
    if not results:
        return []
    signs = [1.0 if each.direction is Direction.MINIMIZE else -1.0 for each in objectives]
    losses = np.array([result.values for result in results], dtype=np.float64) * signs
    # Equal ones stand or fall together. They come sorted, so only earlier ones dominate.
    distinct, places = np.unique(losses, axis=0, return_inverse=True)
    is_on_front = _mark_front_of_two(distinct) if len(signs) == 2 else _mark_front(distinct)
    is_best = is_on_front[places.reshape(-1)]
    return [result.number for result, best in zip(results, is_best, strict=True) if best]


def _mark_front_of_two(losses: _Losses) -> _Mask:
    """The first loss rises, so whoever is on the front lowers the second below all before."""
    seconds = losses[:, 1]
    is_on_front = np.ones(len(losses), dtype=np.bool_)
    is_on_front[1:] = seconds[1:] < np.minimum.accumulate(seconds)[:-1]
    return is_on_front


def _mark_front(losses: _Losses) -> _Mask:
    is_on_front = np.zeros(len(losses), dtype=np.bool_)
    open_ = np.arange(len(losses))
    while open_.size:
        first = open_[0]
        is_on_front[first] = True
        open_ = open_[(losses[open_] < losses[first]).any(axis=1)]
    return is_on_front


def _is_feasible(attrs: Iterable[tuple[str, str]] | None) -> bool:
    return not any(value > 0 for value in build_constraints(attrs or ()).values())
