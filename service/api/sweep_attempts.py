"""`/sweeps/{study}/attempts`: what workers were given of a sweep, and what came of it."""

import codecs
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from service.api.answers import JsonAnswer
from service.api.cursors import decode_attempt_cursor, encode_cursor
from service.api.dependencies import DEFAULT_PAGE_SIZE, Cursor, EngineDependency, PageSize
from service.api.openapi import describe_answer, describe_problems, link_to_same_attempt
from service.api.strict import StrictRoute
from service.api.sweep_answers import AttemptAnswer, AttemptPageAnswer, to_attempt
from service.api.sweep_dependencies import (
    AttemptAddress,
    AttemptAddressDependency,
    StoredSweep,
    SweepDependency,
)
from service.domain.attempts import AttemptState
from service.domain.errors import AttemptNotFound
from service.engine.engine import Engine
from service.storage.attempts import KEPT_LOG_BYTES, LogPart, StoredAttempt

router = APIRouter(prefix="/sweeps/{study}/attempts", tags=["sweeps"], route_class=StrictRoute)

_DEFAULT_LOG_BYTES = 64 * 1024
_OFFSET: dict[str, Any] = {"schema": {"type": "integer"}}
_LOG: dict[str, Any] = {
    "description": "What the program printed, as UTF-8; what is none is replaced",
    "content": {"text/plain": {"schema": {"type": "string"}}},
    "headers": {
        "Asktell-Log-Start": _OFFSET | {"description": "Bytes that were printed before this part"},
        "Asktell-Log-End": _OFFSET | {"description": "The offset at which to go on"},
    },
}


@router.get(
    "",
    responses={
        200: describe_answer(AttemptPageAnswer, "One page"),
        **describe_problems(404),
    },
)
async def list_attempts(
    sweep: SweepDependency,
    engine: EngineDependency,
    *,
    state: Annotated[frozenset[AttemptState], Query(description="Repeat it for several")] = (
        frozenset()
    ),
    trial: Annotated[
        int | None, Query(ge=0, lt=2**31, description="Number of the only trial wanted")
    ] = None,
    limit: PageSize = DEFAULT_PAGE_SIZE,
    cursor: Cursor = None,
) -> Response:
    """List attempts, those of the newest trials first."""
    rows = await engine.attempts.list_attempts(
        sweep.study.summary.study_id,
        states=state or None,
        number=trial,
        limit=limit + 1,
        before=decode_attempt_cursor(cursor),
    )
    page = rows[:limit]
    next_cursor = _encode_end(page[-1]) if len(rows) > limit else None
    sweep_id = sweep.summary.sweep.sweep_id
    attempts = [to_attempt(sweep_id, row) for row in page]
    return JsonAnswer({"attempts": attempts, "next_cursor": next_cursor})


@router.get(
    "/{attempt_id}",
    responses={
        200: describe_answer(
            AttemptAnswer, "The attempt", links=link_to_same_attempt("show_attempt_log")
        ),
        **describe_problems(404),
    },
)
async def show_attempt(
    sweep: SweepDependency, address: AttemptAddressDependency, engine: EngineDependency
) -> Response:
    """Show an attempt: who has it, how it went, and why it failed."""
    attempt = await _get_attempt(sweep, address, engine)
    return JsonAnswer(to_attempt(address.sweep_id, attempt))


@router.get(
    "/{attempt_id}/log",
    response_class=Response,
    responses={200: _LOG, **describe_problems(404)},
)
async def show_attempt_log(
    sweep: SweepDependency,
    address: AttemptAddressDependency,
    engine: EngineDependency,
    *,
    offset: Annotated[
        int, Query(ge=0, lt=2**62, description="Bytes to skip; those no longer kept are skipped")
    ] = 0,
    limit_bytes: Annotated[int, Query(ge=1, le=KEPT_LOG_BYTES)] = _DEFAULT_LOG_BYTES,
) -> Response:
    """Read what the program printed; to follow it, go on at `Asktell-Log-End`."""
    await _get_attempt(sweep, address, engine)
    part = await engine.attempts.read_log(
        sweep.study.summary.study_id,
        address.number,
        address.attempt,
        offset=offset,
        limit=limit_bytes,
    )
    return _answer_log(part, is_cut=len(part.content) == limit_bytes)


def _answer_log(part: LogPart, *, is_cut: bool) -> Response:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(part.content)
    held_back, _ = decoder.getstate()
    if not is_cut or not text:
        text += decoder.decode(b"", final=True)
        held_back = b""
    headers = {
        "Asktell-Log-Start": str(part.start),
        # A character that the limit cuts in two comes whole with the next part.
        "Asktell-Log-End": str(part.end - len(held_back)),
        "Cache-Control": "no-cache",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(text, headers=headers, media_type="text/plain")


async def _get_attempt(
    sweep: StoredSweep, address: AttemptAddress, engine: Engine
) -> StoredAttempt:
    attempt = None
    if address.sweep_id == sweep.summary.sweep.sweep_id:
        attempt = await engine.attempts.find_attempt(
            sweep.study.summary.study_id, address.number, address.attempt
        )
    if attempt is None:
        raise AttemptNotFound(
            f"Sweep {sweep.study.summary.name[:80]!r} has no such attempt; "
            "GET /sweeps/…/attempts lists them."
        )
    return attempt


def _encode_end(last: StoredAttempt) -> str:
    return encode_cursor((last.launch.number, last.launch.attempt))
