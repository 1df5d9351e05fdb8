"""The trials of a study as a command lists them."""

from collections.abc import Mapping
from functools import partial

import asktell

from service.cli.calls import Document, list_pages, study_path
from service.cli.study.tables import TRIAL_FIELDS

Query = Mapping[str, str | list[str]]


def list_shown_trials(
    client: asktell.Client, study: Document, query: Query, limit: int | None
) -> list[Document]:
    """At most `limit` trials, with no more of them than `print_trials` shows."""
    fields = [*TRIAL_FIELDS, "last_step"]
    return _list_trials(client, study, {**query, "fields": fields}, limit)


def list_whole_trials(
    client: asktell.Client, study: Document, query: Query, limit: int | None
) -> list[Document]:
    """At most `limit` trials, in the order of the query."""
    if limit is not None or not _can_sort(study, query):
        return _list_trials(client, study, query, limit)
    # The server compares all trials for every page of the best ones.
    by_number = {**query, "order": "oldest", "state": "COMPLETE"}
    is_maximized = study["objectives"][0]["direction"] == "maximize"
    found = _list_trials(client, study, by_number, None)
    return sorted(found, key=partial(_rank, sign=-1 if is_maximized else 1))


def _can_sort(study: Document, query: Query) -> bool:
    """Whether it is the best ones that are wanted, and the server refuses nothing of it."""
    is_one = len(study["objectives"]) == 1
    return query["order"] == "best" and is_one and set(query.get("state", ())) <= {"COMPLETE"}


def _rank(trial: Document, *, sign: int) -> tuple[bool, float, int]:
    """As the server orders them: feasible ones first, then by value, then by number."""
    # Infinities are text.
    is_infeasible = any(float(value) > 0 for value in (trial["constraints"] or {}).values())
    return is_infeasible, sign * float(trial["values"][0]), trial["number"]


def _list_trials(
    client: asktell.Client, study: Document, query: Query, limit: int | None
) -> list[Document]:
    path = f"{study_path(study['name'])}/trials"
    return list(list_pages(client, path, "trials", query=query, limit=limit))
