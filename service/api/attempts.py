"""`/attempts`: the worker protocol: claim attempts, say what is seen of them, send their logs."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from service.api.answers import JsonAnswer
from service.api.attempt_bodies import ClaimBody, LogBody, ObserveBody
from service.api.direct import DirectRoute, is_client_there
from service.api.openapi import (
    describe_answer,
    describe_problems,
    link_to_claimed_attempt,
    link_to_handled_attempt,
)
from service.api.sweep_answers import (
    ClaimAnswer,
    InstructionAnswer,
    to_claimed_attempt,
    to_instruction,
)
from service.api.sweep_dependencies import (
    AttemptAddress,
    AttemptId,
    AttemptTarget,
    AttemptTargetDependency,
    get_attempt_address,
)
from service.domain.attempts import Observation
from service.domain.scopes import AttemptClaims
from service.domain.tokens import Credentials
from service.engine.claim import ClaimedAttempt
from service.engine.dispatch import claim_attempts as claim_from_engine
from service.engine.engine import Engine
from service.engine.observe import observe
from service.storage.attempts import AttemptTable

router = APIRouter(prefix="/attempts", tags=["workers"], route_class=DirectRoute)


@dataclass(frozen=True, slots=True)
class _Dispatch:
    """What hands attempts out, and signs what they carry."""

    engine: Engine
    credentials: Credentials


@dataclass(frozen=True, slots=True)
class _LogTarget:
    """Whose log it is, and where logs are kept: no study needs to be live for that."""

    address: AttemptAddress
    attempts: AttemptTable


async def _get_dispatch(request: Request) -> _Dispatch:
    return _Dispatch(request.app.state.engine, request.app.state.credentials)


async def _get_log_target(request: Request, attempt_id: AttemptId) -> _LogTarget:
    engine: Engine = request.app.state.engine
    return _LogTarget(await get_attempt_address(attempt_id), engine.attempts)


@router.post(
    "/claim",
    responses={
        200: describe_answer(
            ClaimAnswer,
            "Attempts to handle; none if there were none for so long",
            links=link_to_claimed_attempt("observe_attempt", "add_attempt_log"),
        ),
        **describe_problems(400, 409, 413, 415),
    },
)
async def claim_attempts(
    dispatch: Annotated[_Dispatch, Depends(_get_dispatch)], body: ClaimBody
) -> Response:
    """Get attempts to handle: first what this worker has and does not hold, then new ones.

    An attempt that comes again has a higher `claim`; whoever had it by an older one must end what
    only it can see of it, such as a process of its machine, and leave alone what others see too.
    """
    claimed = await claim_from_engine(dispatch.engine, body.to_command(is_client_there))
    attempts = [
        to_claimed_attempt(each, _mint(dispatch.credentials, each)) for each in claimed.attempts
    ]
    return JsonAnswer({"attempts": attempts, "unreachable": claimed.unreachable})


@router.post(
    "/{attempt_id}/observe",
    responses={
        200: describe_answer(
            InstructionAnswer,
            "What to do with it",
            links=link_to_handled_attempt("observe_attempt", "add_attempt_log"),
        ),
        **describe_problems(400, 404, 409, 413, 415),
    },
)
async def observe_attempt(target: AttemptTargetDependency, body: ObserveBody) -> Response:
    """Say what is seen of an attempt, about once a second; renews its lease.

    Repeating it is harmless. 409 `claim-lost` and 404: end the program, and forget the attempt.
    """
    seen = body.to_observation(target.address.attempt)
    instruction = await observe(target.actor, target.address.number, seen)
    if instruction.is_over:
        await _record_exit(target, seen)
    return JsonAnswer(to_instruction(instruction))


@router.post(
    "/{attempt_id}/log",
    status_code=204,
    responses={204: {"description": "Kept"}, **describe_problems(400, 404, 409, 413, 415)},
)
async def add_attempt_log(
    target: Annotated[_LogTarget, Depends(_get_log_target)], body: LogBody
) -> Response:
    """Send a part of what a program printed; the last MiB of it is kept.

    Repeating it is harmless.
    """
    await target.attempts.add_log(
        target.address.sweep_id,
        target.address.number,
        target.address.attempt,
        claim=body.claim,
        part=body.to_part(),
    )
    return Response(status_code=204)


def _mint(credentials: Credentials, claimed: ClaimedAttempt) -> str:
    return credentials.mint_attempt_token(
        AttemptClaims(
            study=claimed.study,
            study_id=claimed.study_id,
            trial=claimed.asked.number,
            attempt=claimed.asked.attempt,
        )
    )


async def _record_exit(target: AttemptTarget, seen: Observation) -> None:
    """How a program went whose trial had ended before it did."""
    if seen.ending is None:
        return
    await target.attempts.record_exit(
        target.actor.study_id,
        target.address.number,
        seen.attempt,
        claim=seen.claim,
        ending=seen.ending,
    )
