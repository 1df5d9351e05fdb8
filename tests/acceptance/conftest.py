"""What the tests of pages share: a server for all of a module, a browser, a study."""

from collections.abc import Iterator

import pytest

from tests.acceptance.browser import Browser
from tests.acceptance.pages import Server, open_logged_in, run_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with run_server(tmp_path_factory.mktemp("data")) as server:
        yield server


@pytest.fixture(scope="module")
def browser(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_logged_in(server, tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def study(server: Server, request: pytest.FixtureRequest) -> str:
    """A study of its own for the test, named after it."""
    name: str = request.node.name
    server.make_study(name)
    return name
