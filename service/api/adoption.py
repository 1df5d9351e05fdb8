"""`/studies/{study}/adopt` and `…/release`: between plain Optuna and this service."""

from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import ConfigDict, Field, StrictBool, StrictInt

from service.api.answers import Answer, JsonAnswer, StudyDetailAnswer, to_study_detail
from service.api.bodies import Body, ComponentBody
from service.api.dependencies import (
    EngineDependency,
    StudyName,
    get_committed_study,
    refuse_impossible_name,
)
from service.api.fields import Count, Seconds
from service.api.openapi import describe_answer, describe_problems, link_to_same_study
from service.api.strict import StrictRoute
from service.api.study_bodies import BudgetBody, RetryBody
from service.domain.studies import DEFAULT_LEASE_SECONDS, StudySettings
from service.engine.adopt import Adoption, adopt_study
from service.engine.release import release_study

router = APIRouter(prefix="/studies/{study}", tags=["studies"], route_class=StrictRoute)


class AdoptStudyBody(Body):
    """How a study of plain Optuna shall go on; what is left out is as for a new study."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {},
                {"sampler": {"type": "TPESampler"}, "budget": {"max_trials": 100}},
            ]
        }
    )

    sampler: ComponentBody | None = None
    pruner: ComponentBody | None = None
    seed: Annotated[StrictInt, Field(ge=0, lt=2**32)] | None = None
    budget: BudgetBody = Field(default_factory=BudgetBody)
    parallelism: Count | None = Field(
        default=None, description="Trials that run already count; null: no limit"
    )
    lease_seconds: Seconds | None = Field(
        default=DEFAULT_LEASE_SECONDS, description="Also of trials that run already, from now"
    )
    retry: RetryBody = Field(default_factory=RetryBody)

    def to_command(self, name: str) -> Adoption:
        return Adoption(
            name=name,
            sampler=self.sampler.to_component() if self.sampler else None,
            pruner=self.pruner.to_component() if self.pruner else None,
            seed=self.seed,
            settings=StudySettings(
                budget=self.budget.to_budget(),
                parallelism=self.parallelism,
                lease_seconds=self.lease_seconds,
                retry=self.retry.to_policy(),
            ),
        )


class ReleaseStudyBody(Body):
    """Whether to hand a study back although trials are running."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"force": True}]})

    force: StrictBool = False


class ReleaseAnswer(Answer):
    failed: list[int] = Field(description="Numbers of the trials that had to be failed")


_AS_IT_IS = AdoptStudyBody()
_UNLESS_IN_USE = ReleaseStudyBody()


@router.post(
    "/adopt",
    responses={
        200: describe_answer(
            StudyDetailAnswer, "Managed now", links=link_to_same_study("ask", "list_trials")
        ),
        **describe_problems(400, 404, 409, 413, 415),
    },
)
async def adopt(
    name: StudyName, engine: EngineDependency, body: AdoptStudyBody = _AS_IT_IS
) -> Response:
    """Take in a study that plain Optuna made in this database; only this API writes to it then."""
    refuse_impossible_name(name)
    await adopt_study(engine, body.to_command(name))
    return JsonAnswer(to_study_detail(await get_committed_study(engine, name)))


@router.post(
    "/release",
    responses={
        200: describe_answer(ReleaseAnswer, "A study of plain Optuna now, with all of its trials"),
        **describe_problems(400, 404, 409, 413, 415),
    },
)
async def release(
    name: StudyName, engine: EngineDependency, body: ReleaseStudyBody = _UNLESS_IN_USE
) -> Response:
    """Hand a study back to plain Optuna; running trials are in the way, or fail with `force`."""
    refuse_impossible_name(name)
    return JsonAnswer({"failed": await release_study(engine, name, force=body.force)})
