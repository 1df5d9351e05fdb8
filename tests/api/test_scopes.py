"""Every address has its place in the table of who may do what."""

from collections.abc import Iterator

import pytest
from fastapi.routing import iter_route_contexts
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Mount

from service.api.app import build_api
from service.api.gate import GateRules
from service.api.scopes import ADDRESSES, find_address
from service.engine.engine import Engine
from service.web.routes import build_web_routes

DASHBOARD = PlainTextResponse("a dashboard")


@pytest.fixture
def routes(engine: Engine, rules: GateRules) -> list[BaseRoute]:
    api = build_api(engine, rules)
    return [*api.routes, *build_web_routes(engine.reads, DASHBOARD)]


def list_calls(routes: list[BaseRoute]) -> Iterator[tuple[str, str]]:
    """Method and path of everything that is served."""
    for route in iter_route_contexts(routes):
        assert route.path is not None, f"{route} is of a kind that this test does not know"
        is_folder = isinstance(route.original_route, Mount)
        # What takes any method, as optuna-dashboard's addresses do, sorts them out by itself.
        for method in (route.methods or {"GET"}) - {"HEAD"}:
            yield method, f"{route.path}/some/file.css" if is_folder else route.path


def test_every_route_asks_for_a_scope(routes: list[BaseRoute]) -> None:
    calls = list(list_calls(routes))

    for method, path in calls:
        address = find_address(path)
        assert address is not None, f"{path} is missing in service/api/scopes.py"
        assert method in address.access, f"{method} {path} is missing in service/api/scopes.py"
    assert len(calls) > 40


def test_every_entry_is_served(routes: list[BaseRoute]) -> None:
    served = {
        (method, address.template)
        for method, path in list_calls(routes)
        if (address := find_address(path)) is not None
    }

    for template, access in ADDRESSES.items():
        for method in access:
            assert (method, template) in served, f"nobody serves {method} {template}"
