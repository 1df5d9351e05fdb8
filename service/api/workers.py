"""`/workers`: who handles attempts."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from service.api.answers import JsonAnswer
from service.api.attempt_bodies import WorkerBody
from service.api.dependencies import EngineDependency
from service.api.fields import Text
from service.api.launch_parts import MAX_LABEL_LENGTH
from service.api.openapi import describe_answer, describe_problems
from service.api.strict import StrictRoute
from service.api.sweep_answers import WorkersAnswer, to_worker
from service.domain.workers import WorkerState

router = APIRouter(prefix="/workers", tags=["workers"], route_class=StrictRoute)

_WorkerId = Annotated[
    Text,
    Path(
        alias="worker_id",
        max_length=MAX_LABEL_LENGTH,
        description="The worker's own id, kept with what it handles",
        examples=["w-5f0c2a"],
    ),
]


@router.get("", responses={200: describe_answer(WorkersAnswer, "All that have not left")})
async def list_workers(engine: EngineDependency) -> Response:
    """List workers, those included that have not been heard of for a while."""
    now = engine.clock()
    workers = [to_worker(worker, now) for worker in await engine.workers.list()]
    return JsonAnswer({"workers": workers})


@router.put(
    "/{worker_id}",
    status_code=204,
    responses={204: {"description": "Noted"}, **describe_problems(400, 413, 415)},
)
async def put_worker(worker_id: _WorkerId, body: WorkerBody, engine: EngineDependency) -> Response:
    """Say that a worker is there, every ten seconds; without it for 30 s it counts as away."""
    report = body.to_report(worker_id)
    await engine.workers.put(report, now=engine.clock())
    if report.state is WorkerState.DRAINING:
        # Its claim may be waiting, and must not get what its own programs leave.
        engine.offers.announce()
    return Response(status_code=204)


@router.delete("/{worker_id}", status_code=204, responses={204: {"description": "It has left"}})
async def remove_worker(worker_id: _WorkerId, engine: EngineDependency) -> Response:
    """Say that a worker leaves. Its attempts, if it has any, stay its own until they are lost."""
    await engine.workers.remove(worker_id)
    return Response(status_code=204)
