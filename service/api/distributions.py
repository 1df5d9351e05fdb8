"""`/studies/{study}/distributions`: from what the parameters of a study were drawn."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import Field

from service.api.answers import Answer, JsonAnswer
from service.api.dependencies import EngineDependency, StudyDependency
from service.api.openapi import describe_answer, describe_problems
from service.api.strict import StrictRoute
from service.storage.distributions import UsedDistribution, list_distributions

router = APIRouter(prefix="/studies/{study}", tags=["studies"], route_class=StrictRoute)

_FLOAT = {"step": None, "low": 1e-5, "high": 0.1, "log": True}


class UsedDistributionAnswer(Answer):
    """A distribution of a parameter, and the trials that have it."""

    name: str = Field(examples=["lr"])
    distribution: dict[str, Any] = Field(
        description="In Optuna's own form, which `space` and `distributions` take as well",
        examples=[{"name": "FloatDistribution", "attributes": _FLOAT}],
    )
    trials: list[Annotated[list[int], Field(min_length=2, max_length=2)]] = Field(
        description="First and last number of each unbroken row of trials", examples=[[[0, 41]]]
    )


class DistributionsAnswer(Answer):
    distributions: list[UsedDistributionAnswer] = Field(
        description="By name, then by first use; without parameters that trials show otherwise "
        "than they were drawn, such as quantised ones"
    )


@router.get(
    "/distributions",
    responses={
        200: describe_answer(DistributionsAnswer, "As of the last commit"),
        **describe_problems(404),
    },
)
async def show_distributions(study: StudyDependency, engine: EngineDependency) -> Response:
    """List from what the trials' parameters were drawn: declared, or said by trials as they ran."""
    used = await list_distributions(engine.reads, study.summary.study_id)
    return await asyncio.to_thread(_answer, used)


def _answer(used: list[UsedDistribution]) -> Response:
    return JsonAnswer(
        {
            "distributions": [
                {"name": each.name, "distribution": each.document, "trials": each.trials}
                for each in used
            ]
        }
    )
