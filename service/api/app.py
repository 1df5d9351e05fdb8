"""The API as one ASGI application, gate and envelope included."""

from collections.abc import Callable, Sequence
from datetime import datetime

from fastapi import FastAPI, Response
from fastapi.responses import HTMLResponse
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from service import __version__
from service.api import (
    adoption,
    attempts,
    batches,
    charts,
    distributions,
    export,
    health,
    insights,
    login,
    metrics,
    mirrors,
    pareto,
    sessions,
    studies,
    sweep_attempts,
    sweeps,
    tokens,
    trial_list,
    trials,
    workers,
)
from service.api.callers import Callers
from service.api.envelope import Envelope
from service.api.gate import Gate, GateRules
from service.api.login import LoginLinks
from service.api.openapi import (
    DESCRIPTION,
    describe_problems,
    install_openapi,
    name_operation,
)
from service.api.pages import PLAIN_PAGE_HEADERS, render_problem_list
from service.api.problems import install_problem_handlers
from service.api.reference import render_reference
from service.api.strict import StrictRoute
from service.api.token_cache import TokenCache
from service.engine.engine import Engine, read_clock


def build_app(
    *,
    engine: Engine,
    rules: GateRules,
    extra_routes: Sequence[BaseRoute] = (),
    clock: Callable[[], datetime] = read_clock,
    login_links: LoginLinks | None = None,
) -> ASGIApp:
    """Assemble the application around an open engine, which must stay open while it serves.

    Args:
        extra_routes: Routes behind the same gate, matched after the API's own.
        login_links: Links to share with whoever prints the first one.
    """
    api = build_api(engine, rules, clock=clock, login_links=login_links)
    api.router.routes.extend(extra_routes)
    return Envelope(Gate(api, rules, api.state.callers))


def build_api(
    engine: Engine,
    rules: GateRules,
    *,
    clock: Callable[[], datetime] = read_clock,
    login_links: LoginLinks | None = None,
) -> FastAPI:
    """The API without its gate, which tells it who calls."""
    api = FastAPI(
        title="Asktell",
        version=__version__,
        description=DESCRIPTION,
        generate_unique_id_function=name_operation,
        responses=describe_problems(401, 403, 422, 500, 503),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    api.state.engine = engine
    api.state.credentials = rules.credentials
    api.state.login_links = login_links or LoginLinks(clock=clock)
    api.state.clock = clock
    api.state.token_cache = TokenCache(engine.tokens, clock=clock)
    api.state.callers = Callers(rules.credentials, api.state.token_cache, clock=clock)
    # Routes are matched in order; the hot ones come first.
    for router in (
        trials.router,
        attempts.router,
        trials.reading_router,
        trial_list.router,
        batches.router,
        studies.router,
        sweeps.creation_router,
        sweeps.router,
        sweep_attempts.router,
        workers.router,
        mirrors.router,
        pareto.router,
        charts.router,
        distributions.router,
        export.router,
        insights.router,
        adoption.router,
        health.router,
        metrics.router,
        login.router,
        login.page_router,
        sessions.router,
        tokens.router,
    ):
        api.include_router(router)
    install_problem_handlers(api)
    install_openapi(api)
    _add_pages(api)
    return api


def _add_pages(api: FastAPI) -> None:
    api.router.route_class = StrictRoute

    async def show_reference() -> Response:
        return HTMLResponse(render_reference(api.openapi()), headers=PLAIN_PAGE_HEADERS)

    async def show_problems() -> Response:
        return HTMLResponse(render_problem_list(), headers=PLAIN_PAGE_HEADERS)

    api.add_api_route("/docs", show_reference, include_in_schema=False)
    api.add_api_route("/docs/problems", show_problems, include_in_schema=False)
