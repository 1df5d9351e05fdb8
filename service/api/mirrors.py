"""`/mirrors`: sweeps that outside systems have for the runs of ours, and who keeps them."""

from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import ConfigDict, Field

from service.api.answers import Answer, JsonAnswer
from service.api.bodies import Body
from service.api.dependencies import EngineDependency
from service.api.fields import Text, Url
from service.api.launch_parts import Label
from service.api.openapi import describe_answer, describe_problems
from service.api.strict import StrictRoute
from service.api.sweep_dependencies import SweepActorDependency
from service.domain.mirrors import MirrorReport, MirrorState, WantedMirror
from service.engine.mirrors import keep_mirror

router = APIRouter(tags=["workers"], route_class=StrictRoute)

_MAX_EXECUTORS = 100
_MAX_REF_LENGTH = 1024
_MAX_PROBLEM_LENGTH = 2000


class ClaimMirrorsBody(Body):
    """Which worker would keep mirrors, and of which sweeps."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"worker_id": "w-5f0c2a", "queue": "default", "executors": ["wandb"]}]
        }
    )

    worker_id: Label
    queue: Label = "default"
    executors: Annotated[list[Label], Field(min_length=1, max_length=_MAX_EXECUTORS)]


class MirrorBody(Body):
    """What a worker says of a mirror that it keeps."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "worker_id": "w-5f0c2a",
                    "external_ref": "ada/digits/k1j2h3g4",
                    "seen": "running",
                },
                {"worker_id": "w-5f0c2a", "problem": "W&B does not answer."},
            ]
        }
    )

    worker_id: Label
    external_ref: Annotated[Text, Field(max_length=_MAX_REF_LENGTH)] | None = Field(
        default=None, description="The sweep in the outside system, once there is one"
    )
    url: Url | None = Field(default=None, description="Its page there")
    seen: MirrorState | None = Field(default=None, description="Its state there, as just seen")
    is_deleted: bool = Field(
        default=False, description="A person has deleted it there: no new trials are started here"
    )
    problem: Annotated[Text, Field(max_length=_MAX_PROBLEM_LENGTH)] | None = Field(
        default=None, description="Why it cannot be made, or kept, for now"
    )

    def to_report(self) -> MirrorReport:
        return MirrorReport(
            self.worker_id,
            external_ref=self.external_ref,
            url=self.url,
            seen=self.seen,
            is_deleted=self.is_deleted,
            problem=self.problem,
        )


class WantedMirrorAnswer(Answer):
    """A sweep, for the outside system to have one like it."""

    study: str
    sweep_id: str
    executor: str
    launch: dict[str, Any] = Field(description="What that executor wants to know")
    description: str | None
    objectives: list[dict[str, Any]]
    space: dict[str, Any] | None
    external_ref: str | None = Field(description="null: it has to be made")


class WantedMirrorsAnswer(Answer):
    mirrors: list[WantedMirrorAnswer]


class SetStateAnswer(Answer):
    """What to do with the sweep outside."""

    set: MirrorState | None = Field(description="The state to give it; null: leave it")


@router.post(
    "/mirrors/claim",
    responses={
        200: describe_answer(WantedMirrorsAnswer, "The mirrors that this worker keeps"),
        **describe_problems(400, 413, 415),
    },
)
async def claim_mirrors(body: ClaimMirrorsBody, engine: EngineDependency) -> Response:
    """Get mirrors to keep, for a minute; say so again every few seconds.

    One worker keeps a mirror. It makes the sweep outside, says how that is, and gives it the state
    that the answer tells.
    """
    wanted = await engine.mirrors.claim(
        body.worker_id, queue=body.queue, executors=body.executors, now=engine.clock()
    )
    return JsonAnswer({"mirrors": [_to_wanted(each) for each in wanted]})


@router.post(
    "/sweeps/{study}/mirror",
    responses={
        200: describe_answer(SetStateAnswer, "What to do with the sweep outside"),
        **describe_problems(400, 404, 409, 413, 415),
    },
)
async def tell_mirror(
    actor: SweepActorDependency, body: MirrorBody, engine: EngineDependency
) -> Response:
    """Say how the sweep outside is. What a person did to it there is done here too.

    Repeating it is harmless. 409 `claim-lost`: another worker keeps it.
    """
    return JsonAnswer({"set": await keep_mirror(engine, actor, body.to_report())})


def _to_wanted(wanted: WantedMirror) -> dict[str, Any]:
    return {
        "study": wanted.study,
        "sweep_id": wanted.sweep_id,
        "executor": wanted.launch.executor,
        "launch": dict(wanted.launch.arguments),
        "description": wanted.description,
        "objectives": [
            {"name": objective.name, "direction": objective.direction}
            for objective in wanted.objectives
        ],
        "space": wanted.space,
        "external_ref": wanted.external_ref,
    }
