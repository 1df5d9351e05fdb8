"""`/studies/{study}/ask` and `/studies/{study}/trials`: the life of a trial, and looking at it."""

from collections.abc import Collection
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Body, Response

from service.api.answers import (
    AskAnswer,
    DecisionAnswer,
    JsonAnswer,
    SuggestAnswer,
    TrialAnswer,
    to_asked_trials,
    to_decision,
)
from service.api.dependencies import (
    ActorDependency,
    EngineDependency,
    IdempotencyKey,
    StudyDependency,
    TrialNumber,
)
from service.api.direct import DirectRoute, is_client_there
from service.api.fields import JsonObject
from service.api.openapi import (
    describe_answer,
    describe_problems,
    link_to_asked_trial,
    link_to_same_trial,
)
from service.api.principals import choose_attempt, refuse_lost_attempt
from service.api.strict import StrictRoute
from service.api.trial_bodies import AskBody, AttemptBody, ReportBody, TellBody
from service.api.trial_fields import WHOLE, TrialFields, TrialPartAnswer, answer_trial
from service.domain.errors import NoBestTrial, TrialNotFound
from service.domain.studies import StudySummary
from service.domain.trials import TrialView
from service.engine.ask import ask as ask_engine
from service.engine.heartbeat import heartbeat as renew_lease
from service.engine.prune import decide as find_decision
from service.engine.report import report as report_to_engine
from service.engine.suggest import suggest as suggest_from_engine
from service.engine.tell import tell as tell_engine
from service.storage.reads import StoredStudy

router = APIRouter(prefix="/studies/{study}", tags=["trials"], route_class=DirectRoute)
reading_router = APIRouter(prefix="/studies/{study}", tags=["trials"], route_class=StrictRoute)

_ASK_FOR_ONE = AskBody()
_WHOEVER = AttemptBody()
_DISTRIBUTION_EXAMPLES = [
    {
        "lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": True},
        "optimizer": {"type": "categorical", "choices": ["adam", "sgd"]},
    }
]


@router.post(
    "/ask",
    responses={
        200: describe_answer(
            AskAnswer,
            "Trials to run",
            links=link_to_asked_trial(
                "suggest", "report", "prune", "heartbeat", "tell", "show_trial"
            ),
        ),
        **describe_problems(400, 404, 409, 413, 415, 429),
    },
)
async def ask(
    actor: ActorDependency, body: AskBody = _ASK_FOR_ONE, idempotency_key: IdempotencyKey = None
) -> Response:
    """Get trials to run, with their parameters."""
    trials = await ask_engine(actor, body.to_command(idempotency_key, is_client_there))
    return JsonAnswer(to_asked_trials(trials))


@router.post(
    "/trials/{number}/suggest",
    responses={
        200: describe_answer(
            SuggestAnswer, "Values by name", links=link_to_same_trial("report", "prune", "tell")
        ),
        **describe_problems(400, 404, 409, 413, 415),
    },
)
async def suggest(
    actor: ActorDependency,
    number: TrialNumber,
    distributions: Annotated[JsonObject, Body(examples=_DISTRIBUTION_EXAMPLES)],
) -> Response:
    """Choose parameters while a trial runs. The same name and distribution gives the same value."""
    refuse_lost_attempt(actor, number)
    params = await suggest_from_engine(actor, number, distributions)
    return JsonAnswer({"params": params})


@router.post(
    "/trials/{number}/report",
    responses={
        200: describe_answer(
            DecisionAnswer, "Whether to stop now", links=link_to_same_trial("report", "tell")
        ),
        **describe_problems(400, 404, 409, 413, 415),
    },
)
async def report(actor: ActorDependency, number: TrialNumber, body: ReportBody) -> Response:
    """Store values reached while training, renew the lease, learn whether to stop.

    Repeating it is harmless.
    """
    attempt = choose_attempt(body.attempt)
    decision = await report_to_engine(actor, number, body.to_points(), attempt=attempt)
    return JsonAnswer(to_decision(decision))


@router.post(
    "/trials/{number}/prune",
    responses={
        200: describe_answer(
            DecisionAnswer, "Whether to stop now", links=link_to_same_trial("report", "tell")
        ),
        **describe_problems(400, 404, 409, 413, 415),
    },
)
async def prune(
    actor: ActorDependency, number: TrialNumber, body: AttemptBody = _WHOEVER
) -> Response:
    """Look up the decision that the last report led to."""
    attempt = choose_attempt(body.attempt)
    return JsonAnswer(to_decision(await find_decision(actor, number, attempt=attempt)))


@router.post(
    "/trials/{number}/heartbeat",
    responses={
        200: describe_answer(
            DecisionAnswer, "Whether to stop now", links=link_to_same_trial("report", "tell")
        ),
        **describe_problems(400, 404, 409, 413, 415),
    },
)
async def heartbeat(
    actor: ActorDependency, number: TrialNumber, body: AttemptBody = _WHOEVER
) -> Response:
    """Renew the lease and look up the decision that the last report led to."""
    attempt = choose_attempt(body.attempt)
    return JsonAnswer(to_decision(await renew_lease(actor, number, attempt=attempt)))


@router.post(
    "/trials/{number}/tell",
    responses={
        200: describe_answer(
            TrialAnswer, "The trial as stored", links=link_to_same_trial("show_trial")
        ),
        **describe_problems(400, 404, 409, 413, 415),
    },
)
async def tell(actor: ActorDependency, number: TrialNumber, body: TellBody) -> Response:
    """Say how a trial ended. An identical repeat is answered alike; a different one is refused.

    A FAIL that the study's retry policy lists leaves the trial RUNNING, queued for another attempt.
    """
    outcome = replace(body.to_outcome(), attempt=choose_attempt(body.attempt))
    return await answer_trial(await tell_engine(actor, number, outcome))


@reading_router.get(
    "/trials/{number}",
    responses={
        200: describe_answer(
            TrialPartAnswer, "The trial", links=link_to_same_trial("suggest", "report", "tell")
        ),
        **describe_problems(404),
    },
)
async def show_trial(
    study: StudyDependency,
    number: TrialNumber,
    engine: EngineDependency,
    fields: TrialFields = frozenset(),
) -> Response:
    """Show a trial, whole or some fields of it."""
    wanted = fields or WHOLE
    return await answer_trial(await _get_trial(engine, study, number, wanted), wanted)


@reading_router.get(
    "/best",
    responses={200: describe_answer(TrialAnswer, "The best trial"), **describe_problems(404)},
)
async def show_best_trial(study: StudyDependency, engine: EngineDependency) -> Response:
    """Show the best completed trial of a study with one objective."""
    if study.summary.best is None:
        raise NoBestTrial(_explain_no_best(study.summary))
    return await answer_trial(await _get_trial(engine, study, study.summary.best.number))


async def _get_trial(
    engine: EngineDependency, study: StoredStudy, number: int, fields: Collection[str] = WHOLE
) -> TrialView:
    trial = await engine.reads.find_trial(study.summary.study_id, number, fields=fields)
    if trial is None:
        raise TrialNotFound(
            f"Study {study.summary.name[:80]!r} has no trial {number}; POST …/ask hands out trials."
        )
    return trial


def _explain_no_best(summary: StudySummary) -> str:
    if len(summary.objectives) > 1:
        return "A study with several objectives has no single best trial; list its trials."
    return "No trial of this study is complete yet; ask again when one has been told COMPLETE."
