"""A whole study at one moment, page by page: what an export writes down."""

from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from psycopg.rows import DictRow

from service.domain.trials import TrialView
from service.search_space.variants import find_declared_name
from service.storage.reads import Reads, StoredStudy

_PAGE_SIZE = 100

# Which names occur anywhere in a study, each set in its own order. Optuna's list of constraints
# has names only in the study; where it has none, positions serve. NaN and infinities, as Optuna
# writes them, are not JSON. A trial with a configuration of its own shows that and no parameters.
LIST_COLUMNS = """
WITH own AS (SELECT trial_id FROM asktell.trials WHERE study_id = %(study_id)s)
SELECT ARRAY(SELECT DISTINCT param_name COLLATE "C" FROM public.trial_params
             JOIN own USING (trial_id)
             WHERE NOT EXISTS (SELECT FROM public.trial_system_attributes AS given
                               WHERE given.trial_id = own.trial_id
                                 AND given.key = 'asktell:config') ORDER BY 1) AS params,
       ARRAY(SELECT DISTINCT json_object_keys(value_json::json) COLLATE "C"
             FROM public.trial_system_attributes JOIN own USING (trial_id)
             WHERE key = 'asktell:config' ORDER BY 1) AS configs,
       ARRAY(SELECT DISTINCT key COLLATE "C" FROM public.trial_user_attributes
             JOIN own USING (trial_id) ORDER BY 1) AS user_attrs,
       ARRAY(SELECT DISTINCT substr(key, length('constraints:') + 1) COLLATE "C"
             FROM public.trial_system_attributes JOIN own USING (trial_id)
             WHERE starts_with(key, 'constraints:') ORDER BY 1) AS named_constraints,
       (SELECT coalesce(max(json_array_length(
                   regexp_replace(value_json, 'NaN|-?Infinity', 'null', 'g')::json)), 0)
        FROM public.trial_system_attributes JOIN own USING (trial_id)
        WHERE key = 'constraints') AS listed_constraints,
       (SELECT value_json::json FROM public.study_system_attributes
        WHERE study_id = %(study_id)s AND key = 'asktell:constraint_names') AS constraint_names
"""


@dataclass(frozen=True, slots=True)
class TrialColumns:
    """The names that occur in any trial of a study."""

    params: tuple[str, ...]
    user_attrs: tuple[str, ...]
    constraints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Export:
    """A study, and its trials as of the same moment."""

    study: StoredStudy
    reads: Reads

    async def list_columns(self) -> TrialColumns:
        """The names of everything that trials name themselves."""
        (row,) = await self.reads.fetch(LIST_COLUMNS, {"study_id": self.study.summary.study_id})
        count = row["listed_constraints"]
        names = [*(row["constraint_names"] or ())][:count]
        listed = [*names, *map(str, range(len(names), count))]
        # A name may be in use both ways; it is one column all the same.
        constraints = dict.fromkeys([*listed, *row["named_constraints"]])
        return TrialColumns(
            params=tuple(self._name_params(row)),
            user_attrs=tuple(row["user_attrs"]),
            constraints=tuple(constraints),
        )

    def _name_params(self, row: DictRow) -> Iterable[str]:
        kept: list[str] = row["params"]
        if self.study.spec.user_code is None:
            return kept
        return dict.fromkeys([*map(find_declared_name, kept), *row["configs"]])

    async def list_pages(
        self, *, fields: Collection[str] | None = None
    ) -> AsyncIterator[list[TrialView]]:
        """All trials by number, some at a time; `fields` as in `Reads.list_trials`."""
        study_id = self.study.summary.study_id
        after: int | None = None
        while True:
            page = await self.reads.list_trials(
                study_id, states=None, limit=_PAGE_SIZE, after=after, fields=fields
            )
            if not page:
                return
            yield page
            after = page[-1].number


@asynccontextmanager
async def open_export(reads: Reads, name: str) -> AsyncIterator[Export | None]:
    """Gives the study of that name at one moment; None if there is none.

    Holds a connection and the database's memory of that moment: be quick, and never wait for a
    client in here.

    Raises:
        DatabaseUnavailable: No connection can be had, or it breaks.
    """
    async with reads.snapshot() as snapshot:
        study = await snapshot.find_study(name)
        yield None if study is None else Export(study, snapshot)
