"""The addresses that people open: our pages, their assets, and `/dashboard`."""

from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from service.domain.studies import StudySummary
from service.web.assets import Assets, digest_assets
from service.web.pages import PAGE_HEADERS, render_page
from service.web.read_only import ReadOnly

# optuna-dashboard's pages ask for exactly these, at the root: no prefix can be configured.
_DASHBOARD_PATHS = (
    "/dashboard",
    "/dashboard/{rest:path}",
    "/api/meta",
    "/api/studies",
    "/api/studies/{rest:path}",
    "/api/trials/{rest:path}",
    "/api/artifacts/{rest:path}",
    "/api/llm/{rest:path}",
    "/artifacts/{rest:path}",
    "/csv/{rest:path}",
    "/static/{rest:path}",
    "/favicon.ico",
)


class FoundStudy(Protocol):
    """A stored study, of which a link needs the id."""

    @property
    def summary(self) -> StudySummary: ...


class StudyFinder(Protocol):
    """Where a study's name is looked up; answers from committed state."""

    async def find_study(self, name: str) -> FoundStudy | None: ...


def build_web_routes(studies: StudyFinder, dashboard: ASGIApp | None) -> list[BaseRoute]:
    """Routes for the browser; they expect authentication in front and the API beside them.

    Args:
        studies: Used to turn a study's name into the id that optuna-dashboard's address needs.
        dashboard: Answers optuna-dashboard's own paths; None leaves them, and the links, out.
    """
    assets = f"/ui/static/{digest_assets()}"
    pages = _Pages(assets=assets, has_dashboard=dashboard is not None)
    routes: list[BaseRoute] = [
        Route("/", pages.show_overview),
        Route("/ui/study", pages.show_study),
        Route("/ui/tokens", pages.show_tokens),
        Route("/ui/sweeps/{study}/attempts/{attempt_id}", pages.show_attempt),
        Mount(assets, Assets()),
    ]
    if dashboard is not None:
        read_only = ReadOnly(dashboard)
        routes.append(Route("/ui/dashboard", _DashboardLink(studies).follow))
        routes.extend(Route(path, read_only) for path in _DASHBOARD_PATHS)
    return routes


@dataclass(frozen=True, slots=True)
class _Pages:
    """Pages without data: their scripts read it from the API, and say so when it is not there."""

    assets: str
    has_dashboard: bool

    async def show_overview(self, _request: Request) -> Response:
        return self._answer("overview.html")

    async def show_study(self, request: Request) -> Response:
        # A query, because `..` is a name but not a path.
        return self._answer("study.html", study=request.query_params.get("name", ""))

    async def show_tokens(self, _request: Request) -> Response:
        return self._answer("tokens.html")

    async def show_attempt(self, request: Request) -> Response:
        return self._answer("attempt.html", **request.path_params)

    def _answer(self, template: str, **values: str) -> Response:
        page = render_page(template, assets=self.assets, has_dashboard=self.has_dashboard, **values)
        return HTMLResponse(page, headers=PAGE_HEADERS)


@dataclass(frozen=True, slots=True)
class _DashboardLink:
    """`?study=NAME` → the study's page; a query, because `..` is a name but not a path."""

    studies: StudyFinder

    async def follow(self, request: Request) -> Response:
        name = request.query_params.get("study", "")
        # Postgres cannot even be asked for a text with NUL in it.
        study = None if "\0" in name else await self.studies.find_study(name)
        if study is None:
            return HTMLResponse(render_page("study_missing.html"), 404, PAGE_HEADERS)
        return RedirectResponse(f"/dashboard/studies/{study.summary.study_id}", 303)
