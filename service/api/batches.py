"""`/studies/{study}`: many trials in one call: tell, enqueue, import."""

from fastapi import APIRouter, Response

from service.api.answers import JsonAnswer, NumbersAnswer, TrialsAnswer, to_trial
from service.api.batch_bodies import EnqueueBody, ImportBody, TellManyBody
from service.api.dependencies import ActorDependency, IdempotencyKey
from service.api.direct import DirectRoute
from service.api.openapi import describe_answer, describe_problems, link_to_same_study
from service.api.trial_fields import write_trials
from service.engine.enqueue import enqueue
from service.engine.import_trials import import_trials as import_into_engine
from service.engine.tell import tell_many

router = APIRouter(prefix="/studies/{study}", tags=["trials"], route_class=DirectRoute)


@router.post(
    "/tell",
    responses={
        200: describe_answer(
            TrialsAnswer, "The trials as stored", links=link_to_same_study("list_trials")
        ),
        **describe_problems(400, 404, 409, 413, 415),
    },
)
async def tell_trials(actor: ActorDependency, body: TellManyBody) -> Response:
    """Say how trials ended: all of them or, if one is refused, none."""
    trials = await tell_many(actor, body.to_outcomes())
    return await write_trials(
        trials, lambda: JsonAnswer({"trials": [to_trial(trial) for trial in trials]})
    )


@router.post(
    "/enqueue",
    status_code=201,
    responses={
        201: describe_answer(
            NumbersAnswer, "Waiting to be asked for", links=link_to_same_study("ask", "list_trials")
        ),
        **describe_problems(400, 404, 409, 413, 415),
    },
)
async def enqueue_trials(
    actor: ActorDependency, body: EnqueueBody, idempotency_key: IdempotencyKey = None
) -> Response:
    """Choose the parameters of trials that the next asks hand out."""
    numbers = await enqueue(actor, body.to_trials(), idempotency_key=idempotency_key)
    return JsonAnswer({"numbers": numbers}, 201)


@router.post(
    "/trials",
    status_code=201,
    responses={
        201: describe_answer(NumbersAnswer, "Stored", links=link_to_same_study("list_trials")),
        **describe_problems(400, 404, 409, 413, 415),
    },
)
async def import_trials(
    actor: ActorDependency, body: ImportBody, idempotency_key: IdempotencyKey = None
) -> Response:
    """Add trials that ended elsewhere, for the sampler to learn from."""
    numbers = await import_into_engine(actor, body.to_trials(), idempotency_key=idempotency_key)
    return JsonAnswer({"numbers": numbers}, 201)
