"""`GET /studies/{study}/trials`: the trials of a study, page by page."""

from collections.abc import AsyncIterator, Collection, Container, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import Field

from service.api.answers import Answer, JsonAnswer
from service.api.cursors import decode_trial_cursor, encode_cursor
from service.api.dependencies import (
    DEFAULT_PAGE_SIZE,
    Cursor,
    EngineDependency,
    PageSize,
    StudyDependency,
)
from service.api.openapi import describe_answer, describe_problems
from service.api.strict import StrictRoute
from service.api.sweep_answers import AttemptAnswer, to_attempt
from service.api.trial_fields import (
    WHOLE,
    TrialField,
    TrialPartAnswer,
    to_trial_part,
    write_trials,
)
from service.api.trial_filters import Conditions, find_matching_trials
from service.domain.errors import FieldError, Invalid
from service.domain.studies import StudySummary
from service.domain.trials import TrialState
from service.storage.reads import Reads
from service.storage.trial_lists import LatestAttempt, ListedTrial, TrialOrder
from service.storage.trial_lists import list_trials as list_stored_trials

router = APIRouter(prefix="/studies/{study}", tags=["trials"], route_class=StrictRoute)

ListedField = Literal[TrialField, "last_step", "latest_attempt"]


class ListedTrialAnswer(TrialPartAnswer):
    last_step: int | None = Field(
        description="The largest one reported. Only if it is among `fields`"
    )
    latest_attempt: AttemptAnswer | None = Field(
        description="The last one that a worker was given, with its page and log; null: none was. "
        "Only if it is among `fields`"
    )


class TrialPageAnswer(Answer):
    trials: list[ListedTrialAnswer]
    next_cursor: str | None = Field(
        description="Pass it as cursor, with the same order, for the next page"
    )


@router.get(
    "/trials",
    responses={200: describe_answer(TrialPageAnswer, "One page"), **describe_problems(404)},
)
async def list_trials(
    study: StudyDependency,
    engine: EngineDependency,
    *,
    order: Annotated[
        TrialOrder,
        Query(
            description="By number, from either end; or the complete ones by value, feasible ones "
            "first, of a study with one objective"
        ),
    ] = TrialOrder.OLDEST,
    state: Annotated[frozenset[TrialState], Query(description="Repeat it for several")] = (
        frozenset()
    ),
    fields: Annotated[
        frozenset[ListedField],
        Query(
            description="Repeat it for several; left out, trials are listed whole, without "
            "`last_step` and `latest_attempt`"
        ),
    ] = frozenset(),
    where: Conditions = (),
    limit: PageSize = DEFAULT_PAGE_SIZE,
    cursor: Cursor = None,
) -> Response:
    """List trials, whole or some fields of them."""
    if order is TrialOrder.BEST:
        _refuse_without_best(study.summary, state)
    after = decode_trial_cursor(cursor, order)
    async with _open_moment(engine.reads, where) as reads:
        rows = await list_stored_trials(
            reads,
            study.summary,
            order=order,
            states=state or None,
            limit=limit + 1,
            after=after,
            fields=fields or WHOLE,
            numbers=await find_matching_trials(reads, study, where) if where else None,
        )
    page = rows[:limit]
    next_cursor = encode_cursor((order, page[-1].trial.number)) if len(rows) > limit else None
    return await write_trials(
        [row.trial for row in page], lambda: _answer_page(page, next_cursor, fields or WHOLE)
    )


@asynccontextmanager
async def _open_moment(reads: Reads, where: Sequence[str]) -> AsyncIterator[Reads]:
    """Gives reads that all see one moment; a list without conditions is one read."""
    if not where:
        yield reads
        return
    async with reads.snapshot() as snapshot:
        yield snapshot


def _refuse_without_best(study: StudySummary, states: Collection[TrialState]) -> None:
    if len(study.objectives) > 1:
        raise _build_refusal(
            "order", "needs one objective to be best; GET …/pareto shows the best of several"
        )
    if set(states) - {TrialState.COMPLETE}:
        raise _build_refusal(
            "state", "only COMPLETE trials have a place in order=best; leave out the others"
        )


def _build_refusal(field: str, message: str) -> Invalid:
    return Invalid(
        f"The request is not valid. {field}: {message}.", errors=[FieldError(field, message)]
    )


def _answer_page(
    page: Sequence[ListedTrial], next_cursor: str | None, fields: Container[str]
) -> Response:
    trials = [_to_listed_trial(row, fields) for row in page]
    return JsonAnswer({"trials": trials, "next_cursor": next_cursor})


def _to_listed_trial(row: ListedTrial, fields: Container[str]) -> dict[str, Any]:
    listed = to_trial_part(row.trial, fields)
    if "last_step" in fields:
        listed["last_step"] = row.last_step
    if "latest_attempt" in fields:
        listed["latest_attempt"] = row.latest_attempt and _to_latest_attempt(row.latest_attempt)
    return listed


def _to_latest_attempt(latest: LatestAttempt) -> dict[str, Any]:
    return to_attempt(latest.sweep_id, latest.attempt)
