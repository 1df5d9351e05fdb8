"""`/studies`: make, list, show, change, pause, stop and delete studies."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from service.api.answers import (
    JsonAnswer,
    StudyDetailAnswer,
    StudyPageAnswer,
    to_study,
    to_study_detail,
)
from service.api.cursors import decode_name_cursor, encode_cursor
from service.api.dependencies import (
    DEFAULT_PAGE_SIZE,
    ActorDependency,
    Cursor,
    EngineDependency,
    IdempotencyKey,
    NamePart,
    PageSize,
    StudyDependency,
    StudyName,
    get_committed_study,
    refuse_impossible_name,
)
from service.api.etags import build_not_modified, build_tagged_answer, compute_etag
from service.api.openapi import (
    describe_answer,
    describe_not_modified,
    describe_problems,
    link_to_study,
)
from service.api.strict import StrictRoute
from service.api.study_bodies import ChangeStudyBody, CreateStudyBody
from service.domain.errors import CodeNotFound
from service.domain.studies import StudyState
from service.engine import states
from service.engine.configure import configure
from service.engine.create import create_study as create_in_engine
from service.engine.delete import delete_study as delete_in_engine

router = APIRouter(prefix="/studies", tags=["studies"], route_class=StrictRoute)

_CREATED_LINKS = link_to_study("ask", "show_study", "list_trials")
_CHANGED_LINKS = link_to_study("ask", "show_study")


@router.post(
    "",
    status_code=201,
    responses={
        201: describe_answer(StudyDetailAnswer, "Made", links=_CREATED_LINKS),
        200: describe_answer(
            StudyDetailAnswer, "It was there, with the same specification", links=_CREATED_LINKS
        ),
        **describe_problems(400, 409, 413, 415),
    },
)
async def create_study(
    body: CreateStudyBody, engine: EngineDependency, idempotency_key: IdempotencyKey = None
) -> Response:
    """Make a study, or with `if_exists: load` find the one of the same specification."""
    created = await create_in_engine(engine, body.to_command(idempotency_key))
    return JsonAnswer(to_study_detail(created.study), 201 if created.created else 200)


@router.get(
    "",
    responses={200: describe_answer(StudyPageAnswer, "One page"), **describe_not_modified()},
)
async def list_studies(
    request: Request,
    engine: EngineDependency,
    *,
    state: StudyState | None = None,
    q: NamePart = None,
    limit: PageSize = DEFAULT_PAGE_SIZE,
    cursor: Cursor = None,
) -> Response:
    """List studies by name; made to be polled with If-None-Match."""
    after = decode_name_cursor(cursor)
    # One more than wanted tells whether there is a next page.
    rows = await engine.reads.list_studies(
        state=state, name_contains=q, limit=limit + 1, after=after
    )
    page = rows[:limit]
    next_cursor = encode_cursor(page[-1].name) if len(rows) > limit else None
    etag = compute_etag(("studies", state, q, limit, after, next_cursor), page)
    return build_not_modified(request, etag) or build_tagged_answer(
        {"studies": [to_study(row) for row in page], "next_cursor": next_cursor}, etag
    )


@router.get(
    "/{study}",
    responses={
        200: describe_answer(StudyDetailAnswer, "The study", links=link_to_study("ask")),
        **describe_not_modified(),
        **describe_problems(404),
    },
)
async def show_study(request: Request, study: StudyDependency) -> Response:
    """Show a study with its search space, sampler, pruner and settings."""
    etag = compute_etag(("study",), (study.summary,))
    return build_not_modified(request, etag) or build_tagged_answer(to_study_detail(study), etag)


@router.get(
    "/{study}/python",
    response_class=PlainTextResponse,
    responses=describe_problems(404),
)
async def show_python(study: StudyDependency) -> Response:
    """Show the Python that the study was made of; 404 if there is none."""
    code = study.spec.user_code
    if code is None:
        raise CodeNotFound(f"Study {study.summary.name!r} was made without Python.")
    # Never a page: it is a user's text.
    return PlainTextResponse(code.source, headers={"X-Content-Type-Options": "nosniff"})


@router.patch(
    "/{study}",
    responses={
        200: describe_answer(StudyDetailAnswer, "The study as changed", links=_CHANGED_LINKS),
        **describe_problems(400, 404, 413, 415),
    },
)
async def change_study(
    actor: ActorDependency, body: ChangeStudyBody, engine: EngineDependency
) -> Response:
    """Change budget, parallelism, leases, retries or attributes; a raised budget reopens it."""
    await configure(actor, body.to_patch(), body.user_attrs)
    return await _answer_committed(actor, engine)


@router.post(
    "/{study}/pause",
    responses={
        200: describe_answer(StudyDetailAnswer, "The study, paused", links=_CHANGED_LINKS),
        **describe_problems(404),
    },
)
async def pause_study(actor: ActorDependency, engine: EngineDependency) -> Response:
    """Hand out no trials until `resume`; running ones go on. Repeating it is harmless."""
    await states.pause(actor)
    return await _answer_committed(actor, engine)


@router.post(
    "/{study}/resume",
    responses={
        200: describe_answer(StudyDetailAnswer, "The study, active", links=_CHANGED_LINKS),
        **describe_problems(404, 409),
    },
)
async def resume_study(actor: ActorDependency, engine: EngineDependency) -> Response:
    """Hand out trials again after `pause` or `stop`. Repeating it is harmless."""
    await states.resume(actor)
    return await _answer_committed(actor, engine)


@router.post(
    "/{study}/stop",
    responses={
        200: describe_answer(StudyDetailAnswer, "The study, stopped", links=_CHANGED_LINKS),
        **describe_problems(404),
    },
)
async def stop_study(actor: ActorDependency, engine: EngineDependency) -> Response:
    """Start no new trials; running ones may finish. Repeating it is harmless."""
    await states.stop(actor)
    return await _answer_committed(actor, engine)


@router.delete(
    "/{study}",
    status_code=204,
    responses={204: {"description": "Deleted, with all trials"}, **describe_problems(404)},
)
async def delete_study(name: StudyName, engine: EngineDependency) -> Response:
    """Delete a study and all of its trials."""
    refuse_impossible_name(name)
    await delete_in_engine(engine, name)
    return Response(status_code=204)


async def _answer_committed(actor: ActorDependency, engine: EngineDependency) -> Response:
    return JsonAnswer(to_study_detail(await get_committed_study(engine, actor.spec.name)))
