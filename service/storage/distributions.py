"""From what each parameter of a study was drawn, and in which trials."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service.search_space.variants import find_declared_name
from service.storage.reads import Reads

# Each distribution once, with its trials as ranges, of which nearly always one will do: a study of
# 10,000 trials would have as many copies. Without parameters that trials show otherwise than drawn.
LIST_DISTRIBUTIONS = """
SELECT param.param_name, param.distribution_json,
       (SELECT json_agg(json_build_array(lower(part), upper(part) - 1) ORDER BY lower(part))
        FROM unnest(range_agg(int4range(own.number, own.number, '[]'))) AS part) AS trials
FROM asktell.trials AS own
JOIN public.trial_params AS param USING (trial_id)
WHERE own.study_id = %(study_id)s
GROUP BY param.param_name, param.distribution_json
HAVING NOT EXISTS (SELECT FROM asktell.studies AS read
                   WHERE read.study_id = %(study_id)s
                     AND read.spec -> 'readings' -> param.param_name IS NOT NULL)
ORDER BY param.param_name COLLATE "C", min(own.number), param.distribution_json
"""


@dataclass(frozen=True, slots=True)
class UsedDistribution:
    """A distribution of one parameter, and the trials that have it.

    Attributes:
        name: Of the parameter, as trials show it.
        document: Optuna's own JSON form.
        trials: First and last number of each unbroken row of trials, in rising order.
    """

    name: str
    document: Any
    trials: Sequence[tuple[int, int]]


async def list_distributions(reads: Reads, study_id: int) -> list[UsedDistribution]:
    """What the parameters of a study were drawn from, by name and first use."""
    rows = await reads.fetch(LIST_DISTRIBUTIONS, {"study_id": study_id})
    return [
        UsedDistribution(
            name=find_declared_name(row["param_name"]),
            document=json.loads(row["distribution_json"]),
            trials=row["trials"],
        )
        for row in rows
    ]
