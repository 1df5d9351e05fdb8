"""`/sweeps`: make, list, show, pause, resume, stop and cancel sweeps."""

from fastapi import APIRouter, Request, Response

from service.api.answers import JsonAnswer
from service.api.cursors import decode_name_cursor, encode_cursor
from service.api.dependencies import (
    DEFAULT_PAGE_SIZE,
    Cursor,
    EngineDependency,
    IdempotencyKey,
    NamePart,
    PageSize,
)
from service.api.etags import build_not_modified, build_tagged_answer, compute_etag
from service.api.openapi import (
    describe_answer,
    describe_not_modified,
    describe_problems,
    link_to_study,
)
from service.api.strict import StrictRoute
from service.api.sweep_answers import (
    CreatedSweepAnswer,
    SweepDetailAnswer,
    SweepPageAnswer,
    to_sweep,
    to_sweep_detail,
)
from service.api.sweep_bodies import CreateSweepBody
from service.api.sweep_dependencies import (
    StoredSweep,
    SweepActorDependency,
    SweepDependency,
    get_committed_sweep,
)
from service.api.sweep_file_route import (
    SWEEP_FILE_BODY,
    SweepFileRoute,
    get_notes,
    takes_file_queries,
)
from service.domain.mirrors import Mirror
from service.domain.sweeps import SweepState
from service.engine import states
from service.engine.create import create_study
from service.engine.engine import Engine

creation_router = APIRouter(prefix="/sweeps", tags=["sweeps"], route_class=SweepFileRoute)
router = APIRouter(prefix="/sweeps", tags=["sweeps"], route_class=StrictRoute)

_LINKS = link_to_study("show_sweep", "list_attempts", "list_trials", "change_study")


@creation_router.post(
    "",
    status_code=201,
    responses={
        201: describe_answer(CreatedSweepAnswer, "Made", links=_LINKS),
        200: describe_answer(
            CreatedSweepAnswer, "It was there, with the same specification", links=_LINKS
        ),
        **describe_problems(400, 409, 413, 415),
    },
    openapi_extra=SWEEP_FILE_BODY,
    dependencies=[takes_file_queries],
)
async def create_sweep(
    request: Request,
    body: CreateSweepBody,
    engine: EngineDependency,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Make a study whose trials workers launch; or, with `if_exists: load`, find the same one.

    A sweep file, W&B's or ours, is taken as it is, as application/yaml.
    """
    created = await create_study(engine, body.to_command(idempotency_key))
    sweep = await get_committed_sweep(engine, body.name)
    notes = (*get_notes(request), *created.notes)
    answer = await _describe(sweep, engine) | {"notes": notes}
    return JsonAnswer(answer, 201 if created.created else 200)


@router.get(
    "",
    responses={200: describe_answer(SweepPageAnswer, "One page"), **describe_not_modified()},
)
async def list_sweeps(
    request: Request,
    engine: EngineDependency,
    *,
    state: SweepState | None = None,
    q: NamePart = None,
    limit: PageSize = DEFAULT_PAGE_SIZE,
    cursor: Cursor = None,
) -> Response:
    """List sweeps by name; made to be polled with If-None-Match."""
    after = decode_name_cursor(cursor)
    # One more than wanted tells whether there is a next page.
    rows = await engine.sweeps.list_sweeps(
        state=state, name_contains=q, limit=limit + 1, after=after
    )
    page = rows[:limit]
    next_cursor = encode_cursor(page[-1].study.name) if len(rows) > limit else None
    mirrors = [_list_words(row.mirror) for row in page]
    query = ("sweeps", state, q, limit, after, next_cursor, mirrors)
    etag = compute_etag(query, [row.study for row in page])
    if (not_modified := build_not_modified(request, etag)) is not None:
        return not_modified
    counts = await engine.sweeps.count_attempts([row.study.study_id for row in page])
    sweeps = [to_sweep(row, counts[row.study.study_id]) for row in page]
    return build_tagged_answer({"sweeps": sweeps, "next_cursor": next_cursor}, etag)


@router.get(
    "/{study}",
    responses={
        200: describe_answer(SweepDetailAnswer, "The sweep", links=_LINKS),
        **describe_not_modified(),
        **describe_problems(404),
    },
)
async def show_sweep(
    request: Request, sweep: SweepDependency, engine: EngineDependency
) -> Response:
    """Show a sweep: its study, how its trials are launched, and its attempts by state."""
    etag = compute_etag(("sweep", *_list_words(sweep.summary.mirror)), (sweep.study.summary,))
    return build_not_modified(request, etag) or build_tagged_answer(
        await _describe(sweep, engine), etag
    )


@router.post(
    "/{study}/pause",
    responses={
        200: describe_answer(SweepDetailAnswer, "The sweep, paused", links=_LINKS),
        **describe_problems(404),
    },
)
async def pause_sweep(actor: SweepActorDependency, engine: EngineDependency) -> Response:
    """Launch nothing until `resume`; what runs goes on. Repeating it is harmless."""
    await states.pause(actor)
    return await _answer_committed(actor.spec.name, engine)


@router.post(
    "/{study}/resume",
    responses={
        200: describe_answer(SweepDetailAnswer, "The sweep, active", links=_LINKS),
        **describe_problems(404, 409),
    },
)
async def resume_sweep(actor: SweepActorDependency, engine: EngineDependency) -> Response:
    """Launch trials again after `pause`, `stop` or `cancel`. Repeating it is harmless."""
    await states.resume(actor)
    return await _answer_committed(actor.spec.name, engine)


@router.post(
    "/{study}/stop",
    responses={
        200: describe_answer(SweepDetailAnswer, "The sweep, stopped", links=_LINKS),
        **describe_problems(404),
    },
)
async def stop_sweep(actor: SweepActorDependency, engine: EngineDependency) -> Response:
    """Launch no new trials; what runs may finish. Repeating it is harmless."""
    await states.stop(actor)
    return await _answer_committed(actor.spec.name, engine)


@router.post(
    "/{study}/cancel",
    responses={
        200: describe_answer(SweepDetailAnswer, "The sweep, cancelled", links=_LINKS),
        **describe_problems(404),
    },
)
async def cancel_sweep(actor: SweepActorDependency, engine: EngineDependency) -> Response:
    """Launch nothing more, and have workers end what runs. Repeating it is harmless."""
    await states.cancel(actor)
    return await _answer_committed(actor.spec.name, engine)


async def _answer_committed(name: str, engine: Engine) -> Response:
    sweep = await get_committed_sweep(engine, name)
    return JsonAnswer(await _describe(sweep, engine))


async def _describe(sweep: StoredSweep, engine: Engine) -> dict[str, object]:
    study_id = sweep.study.summary.study_id
    counts = await engine.sweeps.count_attempts([study_id])
    return to_sweep_detail(sweep.study, sweep.summary, counts[study_id])


def _list_words(mirror: Mirror | None) -> tuple[str | None, ...]:
    """What is shown of a mirror: it changes without a new revision of the study."""
    return (
        () if mirror is None else (mirror.external_ref, mirror.url, mirror.agreed, mirror.problem)
    )
