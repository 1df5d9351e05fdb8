"""`/studies/{study}/pareto`: the best trials, however many objectives there are."""

import asyncio

from fastapi import APIRouter, Response

from service.api.answers import JsonAnswer, TrialsAnswer, to_trial
from service.api.dependencies import EngineDependency, StudyDependency
from service.api.openapi import describe_answer, describe_problems
from service.api.strict import StrictRoute
from service.storage.results import find_front

router = APIRouter(prefix="/studies/{study}", tags=["trials"], route_class=StrictRoute)


@router.get(
    "/pareto",
    responses={
        200: describe_answer(TrialsAnswer, "The Pareto front, by number"),
        **describe_problems(404),
    },
)
async def show_pareto_front(study: StudyDependency, engine: EngineDependency) -> Response:
    """Show every complete trial that satisfies its constraints and that no other one dominates.

    With one objective these are all the trials that share the best value.
    """
    summary = study.summary
    results = await engine.reads.list_results(summary.study_id)
    front = await asyncio.to_thread(find_front, results, summary.objectives)
    trials = await engine.reads.list_numbered_trials(summary.study_id, front)
    return JsonAnswer({"trials": [to_trial(trial) for trial in trials]})
