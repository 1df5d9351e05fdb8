"""Whether the engine could go on with a study that plain Optuna made."""

from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from psycopg import AsyncConnection

from service.domain.errors import StudyNotAdoptable
from service.storage.encoding import decode_distribution

# The engine finds a trial by its number in a list, and by its id by bisection.
_FIND_MISPLACED_TRIAL = """
SELECT number FROM (
    SELECT number, row_number() OVER by_number - 1 AS place,
           trial_id < lag(trial_id) OVER by_number AS is_older
    FROM trials WHERE study_id = %(study_id)s
    WINDOW by_number AS (ORDER BY number, trial_id)) AS placed
WHERE number IS DISTINCT FROM place OR is_older
ORDER BY place LIMIT 1
"""

_LIST_DISTRIBUTIONS = """
SELECT p.param_name, p.distribution_json, min(p.param_value), max(p.param_value)
FROM trial_params AS p JOIN trials AS t USING (trial_id)
WHERE t.study_id = %(study_id)s
GROUP BY p.param_name, p.distribution_json
"""

_KNOWN_KINDS = (FloatDistribution, IntDistribution, CategoricalDistribution)


async def check_adoptable(connection: AsyncConnection[Any], study_id: int) -> None:
    """Checks a study that nobody writes to meanwhile.

    Raises:
        StudyNotAdoptable: The message says why, and what to do.
    """
    await _check_trials(connection, study_id)
    await _check_distributions(connection, study_id)


async def _check_trials(connection: AsyncConnection[Any], study_id: int) -> None:
    cursor = await connection.execute(_FIND_MISPLACED_TRIAL, {"study_id": study_id})
    row = await cursor.fetchone()
    if row is not None:
        raise StudyNotAdoptable(
            "The trials of this study are not numbered 0, 1, 2, … in the order in which they were "
            f"made; the first out of place has number {row[0]}. Copy the study with "
            "optuna.copy_study, which numbers them anew, and adopt the copy."
        )


async def _check_distributions(connection: AsyncConnection[Any], study_id: int) -> None:
    cursor = await connection.execute(_LIST_DISTRIBUTIONS, {"study_id": study_id})
    for name, text, lowest, highest in await cursor.fetchall():
        if not _is_readable(_find_distribution(text), lowest, highest):
            raise StudyNotAdoptable(
                f"Parameter {name!r} of this study has values or a distribution that Optuna 5 does "
                "not know. If an older Optuna made the study, run `optuna storage upgrade` first."
            )


def _find_distribution(text: str) -> BaseDistribution | None:
    try:
        return decode_distribution(text)
    except (ValueError, TypeError, KeyError):
        return None


def _is_readable(
    distribution: BaseDistribution | None, lowest: float | None, highest: float | None
) -> bool:
    # Optuna still knows the kinds of its second version, but mixes them with no others.
    if type(distribution) not in _KNOWN_KINDS or lowest is None or highest is None:
        return False
    if isinstance(distribution, CategoricalDistribution):
        return lowest >= 0 and highest < len(distribution.choices)
    return True
