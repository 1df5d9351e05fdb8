"""`/studies/{study}/history` and `/curves`: what charts of a study show, made to be polled."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from service.api.answers import Answer, BestAnswer, JsonNumber, to_number, to_timestamp
from service.api.dependencies import EngineDependency, StudyDependency
from service.api.etags import build_not_modified, build_tagged_answer, compute_etag
from service.api.openapi import describe_answer, describe_not_modified, describe_problems
from service.api.strict import StrictRoute
from service.domain.trials import TrialState
from service.storage.charts import Curve, History, HistoryPoint, list_curves, read_history

router = APIRouter(prefix="/studies/{study}", tags=["studies"], route_class=StrictRoute)

_HISTORY_EXAMPLE: JsonDict = {
    "points": [
        {"number": 0, "state": "COMPLETE", "values": [0.91], "ended_at": "2026-01-31T12:10:00Z"},
        {"number": 1, "state": "PRUNED", "values": [0.3], "ended_at": "2026-01-31T12:11:00Z"},
    ],
    "best": [{"number": 0, "value": 0.91}],
    "n_finished": 2,
}
_CURVES_EXAMPLE: JsonDict = {
    "curves": [{"number": 2, "state": "RUNNING", "points": [[0, 0.41], [1, 0.62], [2, "NaN"]]}]
}


class HistoryPointAnswer(Answer):
    number: int
    state: TrialState
    values: list[JsonNumber] | None = Field(
        description="null if it failed, or has reported nothing"
    )
    ended_at: datetime | None


class HistoryAnswer(Answer):
    """How finished trials ended, by number."""

    model_config = ConfigDict(json_schema_extra={"examples": [_HISTORY_EXAMPLE]})

    points: list[HistoryPointAnswer]
    best: list[BestAnswer] = Field(
        description="Feasible trials that were better than every one before them; none of a study "
        "with several objectives"
    )
    n_finished: int = Field(description="How many trials are finished, shown or not")


class CurveAnswer(Answer):
    number: int
    state: TrialState
    points: list[tuple[int, JsonNumber]] = Field(description="Steps and values, by step")


class CurvesAnswer(Answer):
    """What trials have reported, the newest trial first."""

    model_config = ConfigDict(json_schema_extra={"examples": [_CURVES_EXAMPLE]})

    curves: list[CurveAnswer]


@router.get(
    "/history",
    responses={
        200: describe_answer(HistoryAnswer, "As of the last commit"),
        **describe_not_modified(),
        **describe_problems(404),
    },
)
async def show_history(
    request: Request,
    study: StudyDependency,
    engine: EngineDependency,
    *,
    points: Annotated[int, Query(ge=1, le=2000, description="About how many trials to show")] = 400,
) -> Response:
    """Show how finished trials ended: all of them, or a sample that is spread evenly.

    The newest one and the improvements are always in it. A PRUNED trial has its last value.
    """
    etag = compute_etag(("history", points), (study.summary,))
    if (not_modified := build_not_modified(request, etag)) is not None:
        return not_modified
    history = await read_history(engine.reads, study.summary, points=points)
    return await asyncio.to_thread(_answer_history, history, etag)


@router.get(
    "/curves",
    responses={
        200: describe_answer(CurvesAnswer, "As of the last commit"),
        **describe_not_modified(),
        **describe_problems(404),
    },
)
async def show_curves(
    request: Request,
    study: StudyDependency,
    engine: EngineDependency,
    *,
    number: Annotated[
        int | None, Query(ge=0, lt=2**31, description="Of the only trial to show")
    ] = None,
    trials: Annotated[int, Query(ge=1, le=200, description="Most trials to show")] = 40,
    points: Annotated[int, Query(ge=2, le=500, description="Most points of a trial")] = 100,
) -> Response:
    """Show learning curves of one trial, or of the newest ones that have reported.

    Running ones are among them.

    Of a trial with more points than wanted some are shown, from the first to the last one, spread
    evenly over the steps.
    """
    etag = compute_etag(("curves", number, trials, points), (study.summary,))
    if (not_modified := build_not_modified(request, etag)) is not None:
        return not_modified
    study_id = study.summary.study_id
    curves = await list_curves(engine.reads, study_id, number=number, trials=trials, points=points)
    return await asyncio.to_thread(_answer_curves, curves, etag)


# Both run in a thread, as there may be thousands of points.
def _answer_history(history: History, etag: str) -> Response:
    best = [
        {"number": point.number, "value": to_number(point.values[0])}
        for point in history.best
        if point.values
    ]
    document = {
        "points": [_to_history_point(point) for point in history.points],
        "best": best,
        "n_finished": history.finished_count,
    }
    return build_tagged_answer(document, etag)


def _answer_curves(curves: Sequence[Curve], etag: str) -> Response:
    return build_tagged_answer({"curves": [_to_curve(curve) for curve in curves]}, etag)


def _to_history_point(point: HistoryPoint) -> dict[str, Any]:
    values = point.values
    return {
        "number": point.number,
        "state": point.state,
        "values": None if values is None else [to_number(value) for value in values],
        "ended_at": to_timestamp(point.ended_at),
    }


def _to_curve(curve: Curve) -> dict[str, Any]:
    return {
        "number": curve.number,
        "state": curve.state,
        "points": [(step, to_number(value)) for step, value in curve.points],
    }
