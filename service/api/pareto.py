"""`/studies/{study}/pareto`: the best trials, however many objectives there are."""

import asyncio
from collections.abc import Container, Iterable
from typing import Any

from fastapi import APIRouter, Request, Response

from service.api.answers import to_number
from service.api.dependencies import EngineDependency, StudyDependency
from service.api.etags import build_not_modified, build_tagged_answer, compute_etag
from service.api.openapi import describe_answer, describe_not_modified, describe_problems
from service.api.strict import StrictRoute
from service.api.trial_fields import WHOLE, TrialFields, TrialPartsAnswer, to_trial_part
from service.domain.trials import TrialView
from service.storage.results import Result, find_front

router = APIRouter(prefix="/studies/{study}", tags=["trials"], route_class=StrictRoute)

_OF_RESULTS = frozenset({"number", "values"})


@router.get(
    "/pareto",
    responses={
        200: describe_answer(TrialPartsAnswer, "The Pareto front, by number"),
        **describe_not_modified(),
        **describe_problems(404),
    },
)
async def show_pareto_front(
    request: Request,
    study: StudyDependency,
    engine: EngineDependency,
    fields: TrialFields = frozenset(),
) -> Response:
    """Show every complete trial that satisfies its constraints and that no other one dominates.

    With one objective these are all the trials that share the best value.
    """
    etag = compute_etag(("pareto", *sorted(fields)), (study.summary,))
    if (not_modified := build_not_modified(request, etag)) is not None:
        return not_modified
    summary, wanted = study.summary, fields or WHOLE
    results = await engine.reads.list_results(summary.study_id)
    numbers = await asyncio.to_thread(find_front, results, summary.objectives)
    if wanted <= _OF_RESULTS:
        return await asyncio.to_thread(_answer_results, results, frozenset(numbers), wanted, etag)
    trials = await engine.reads.list_numbered_trials(summary.study_id, numbers, fields=wanted)
    return await asyncio.to_thread(_answer_trials, trials, wanted, etag)


# Both run in a thread, as there may be thousands of trials.
def _answer_results(
    results: Iterable[Result], numbers: Container[int], fields: Container[str], etag: str
) -> Response:
    front = (result for result in results if result.number in numbers)
    return build_tagged_answer({"trials": [_to_result(each, fields) for each in front]}, etag)


def _answer_trials(trials: Iterable[TrialView], fields: Container[str], etag: str) -> Response:
    return build_tagged_answer({"trials": [to_trial_part(each, fields) for each in trials]}, etag)


def _to_result(result: Result, fields: Container[str]) -> dict[str, Any]:
    values = {"values": [to_number(value) for value in result.values]}
    return {"number": result.number} | (values if "values" in fields else {})
