"""`/healthz` and `/readyz`, open to anybody who watches the process."""

import asyncio
from typing import Any

from fastapi import APIRouter, Response

from service.api.answers import HealthAnswer, JsonAnswer
from service.api.dependencies import EngineDependency
from service.api.openapi import describe_answer, describe_problems
from service.api.strict import StrictRoute
from service.domain.errors import DatabaseUnavailable

READY_SECONDS = 5

router = APIRouter(tags=["health"], route_class=StrictRoute)

_PUBLIC: dict[str, Any] = {"security": []}


@router.get(
    "/healthz",
    responses={200: describe_answer(HealthAnswer, "The process lives")},
    openapi_extra=_PUBLIC,
)
async def check_life() -> Response:
    """Answer as long as the process lives."""
    return JsonAnswer({"status": "ok"})


@router.get(
    "/readyz",
    responses={
        200: describe_answer(HealthAnswer, "The database answers"),
        **describe_problems(503),
    },
    openapi_extra=_PUBLIC,
)
async def check_readiness(engine: EngineDependency) -> Response:
    """Answer 200 when the database answers a query on our schema, else 503."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            await engine.reads.list_studies(state=None, name_contains=None, limit=1, after=None)
    except TimeoutError:
        raise DatabaseUnavailable("The database does not answer; try again soon.") from None
    return JsonAnswer({"status": "ok"})
