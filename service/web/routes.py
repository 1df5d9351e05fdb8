"""The addresses that people open: the overview at `/`, its assets, and `/dashboard`."""

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
    """Routes for the browser; they expect authentication in front and `GET /studies` beside them.

    Args:
        studies: Used to turn a study's name into the id that optuna-dashboard's address needs.
        dashboard: Answers optuna-dashboard's own paths; None leaves them, and the links, out.
    """
    version = digest_assets()
    overview = render_page(
        "overview.html", assets=f"/ui/static/{version}", has_dashboard=dashboard is not None
    )
    routes: list[BaseRoute] = [
        Route("/", HTMLResponse(overview, headers=PAGE_HEADERS), methods=["GET"]),
        Mount(f"/ui/static/{version}", Assets()),
    ]
    if dashboard is not None:
        read_only = ReadOnly(dashboard)
        routes.append(Route("/ui/dashboard", _DashboardLink(studies).follow))
        routes.extend(Route(path, read_only) for path in _DASHBOARD_PATHS)
    return routes


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
