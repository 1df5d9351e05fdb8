"""Two server processes on one database: each study is served by one of them at a time."""

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest

from service.storage.database import Database
from tests.acceptance.acknowledged import STUDY, Clients, find_losses
from tests.acceptance.server_process import HEADERS, TOKEN, ServerProcess, running

_CLIENTS = 16
_OPERATIONS = 500
_DEADLINE_SECONDS = 90.0
_FROZEN_SECONDS = 3.0
_LOOK_AGAIN_SECONDS = 0.05

# The first key of our advisory locks; the second is the study's id.
_LIST_OWNERS = """
SELECT s.name, l.pid
FROM pg_locks AS l JOIN asktell.studies AS s ON s.study_id = l.objid::integer
WHERE l.locktype = 'advisory' AND l.granted AND l.classid = 1095977812
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY s.name
"""

_LIST_STATES = """
SELECT t.state::text FROM trials AS t JOIN studies AS s USING (study_id) WHERE s.study_name = %s
"""

# Of a study that a server has with one running trial, and that declares no space.
_WRITES: tuple[tuple[str, str, Any], ...] = (
    ("POST", "/ask", {}),
    ("POST", "/trials/0/suggest", {"y": {"type": "float", "low": 0, "high": 1}}),
    ("POST", "/trials/0/report", {"step": 0, "value": 0.5}),
    ("POST", "/trials/0/prune", {}),
    ("POST", "/trials/0/heartbeat", {}),
    ("POST", "/trials/0/tell", {"state": "FAIL"}),
    ("POST", "/tell", {"tells": [{"number": 0, "state": "FAIL"}]}),
    ("POST", "/enqueue", {"params": {"x": 0.5}}),
    ("POST", "/trials", {"trials": [{"state": "FAIL", "params": {}}]}),
    ("POST", "/pause", None),
    ("POST", "/resume", None),
    ("POST", "/stop", None),
    ("POST", "/release", {"force": True}),
    ("PATCH", "", {"parallelism": 3}),
    ("DELETE", "", None),
)

pytestmark = pytest.mark.timeout(400)

Servers = tuple[ServerProcess, ServerProcess]

Handover = tuple[float, float]
"""Monotonic times shortly before and after the owner went."""


@pytest.fixture(scope="module")
def database(shared_database: Database) -> Database:
    """That of all tests, since the servers are."""
    return shared_database


@pytest.fixture(scope="module")
def shared_servers(
    database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("servers")
    first, second = (ServerProcess(database, folder / name) for name in ("first", "second"))
    with running(first, second):
        yield first, second


@pytest.fixture
def servers(shared_servers: Servers) -> Iterator[Servers]:
    """Both run and have no study, whatever the test before has done."""
    yield shared_servers
    for server in shared_servers:
        server.thaw()
        if not server.is_running:
            server.start()
    for study in _get(shared_servers[0], "/studies").json()["studies"]:
        _delete(shared_servers, study["name"])


class Router:
    """Sends each request of a client to either server, as chance has it.

    Attributes:
        avoided: A server that gets one request in fifty only.
    """

    def __init__(self, servers: Servers) -> None:
        self.avoided: ServerProcess | None = None
        self._servers = servers
        self._rng = random.Random(5)

    def pick_url(self) -> str | None:
        server = self._rng.choice(self._servers)
        if server is self.avoided and self._rng.random() > 0.04:
            (server,) = (other for other in self._servers if other is not self.avoided)
        try:
            return server.url
        except FileNotFoundError:
            # It is being started.
            return None


# Each study has one server


def test_each_study_is_served_by_one_server_and_refused_by_the_other(
    servers: Servers, database: Database
) -> None:
    names = [f"study-{number}" for number in range(10)]
    for name in names:
        _create(servers[0], name)
    with ThreadPoolExecutor(2) as threads:
        for name in names:
            at_once = list(threads.map(_ask, servers, [name, name]))
            assert sorted(answer.status_code for answer in at_once) == [200, 503]
            again = [_ask(server, name) for server in servers]
            assert [a.status_code for a in again] == [a.status_code for a in at_once]
            shown = [_get(server, f"/studies/{name}").json() for server in servers]
            assert [study["counts"]["running"] for study in shown] == [2, 2]
    assert [name for name, _ in _list_owners(database)] == names


def test_every_write_is_refused_by_the_server_that_has_not_the_study(servers: Servers) -> None:
    owner, other = servers
    _create(owner, "s")
    assert _ask(owner, "s").status_code == 200
    before = _get(owner, "/studies/s").json()
    for method, path, body in _WRITES:
        _check_refused(_send(other, method, f"/studies/s{path}", body))
    assert _get(owner, "/studies/s").json() == before


# The owner goes


def test_other_server_takes_over_from_a_killed_one(servers: Servers, database: Database) -> None:
    clients = Clients(Router(servers).pick_url, TOKEN)
    clients.create_study()
    began_at = time.monotonic()
    with clients.working(_CLIENTS):
        _wait_for_more(clients, 200)
        owner, other = _tell_apart(clients, servers)
        owners = [owner.url, other.url]
        first_handover = _measure(owner.kill)
        _wait_for_more(clients, 200)
        owner.start()
        # Back to the first server, which is a new process.
        owners.append(owner.url)
        _wait_for_more(clients, 100)
        second_handover = _measure(other.kill)
        _wait_for_more(clients, 200)
    assert clients.acknowledged.operations >= _OPERATIONS
    assert find_losses(clients.acknowledged, database) == []
    found = _list_owners_between(clients, began_at, first_handover, second_handover)
    assert found == [{url} for url in owners]


def test_leases_run_out_though_their_server_is_dead_and_nobody_calls(
    servers: Servers, database: Database
) -> None:
    owner, _ = servers
    retry = {"max_attempts": 2, "on": ["lost"]}
    _create(owner, "s", budget={"max_trials": 5}, lease_seconds=1, retry=retry)
    assert len(_ask(owner, "s", count=5).json()["trials"]) == 5
    owner.kill()
    _wait_until(lambda: set(_list_states(database, "s")) == {"FAIL"})
    assert len(_list_states(database, "s")) == 5


# The owner is frozen


def test_study_waits_for_its_frozen_server_and_goes_on(
    servers: Servers, database: Database
) -> None:
    clients = Clients(Router(servers).pick_url, TOKEN)
    clients.create_study()
    began_at = time.monotonic()
    with clients.working(_CLIENTS):
        _wait_for_more(clients, 200)
        owner, other = _tell_apart(clients, servers)
        owner.freeze()
        thaw_at = time.monotonic() + _FROZEN_SECONDS
        while time.monotonic() < thaw_at:
            # Its connection lives, and so does its right to write.
            _check_refused(_ask(other, STUDY))
            time.sleep(_LOOK_AGAIN_SECONDS)
        owner.thaw()
        _wait_for_more(clients, 300)
    assert clients.acknowledged.operations >= _OPERATIONS
    assert find_losses(clients.acknowledged, database) == []
    assert _list_owners_between(clients, began_at) == [{owner.url}]


def test_frozen_server_that_lost_its_study_finds_out(servers: Servers, database: Database) -> None:
    router = Router(servers)
    clients = Clients(router.pick_url, TOKEN)
    clients.create_study()
    began_at = time.monotonic()
    with clients.working(_CLIENTS):
        _wait_for_more(clients, 200)
        owner, other = _tell_apart(clients, servers)
        handover = _measure(owner.freeze)
        router.avoided = owner
        # As Postgres does with the connection of a machine that has gone.
        _end_connection_of_owner(database)
        _wait_for_more(clients, 200)
        owner.thaw()
        router.avoided = None
        _wait_for_more(clients, 200)
        _wait_until(lambda: _get_refusal(owner, STUDY) == "study-owned-elsewhere")
    assert clients.acknowledged.operations >= _OPERATIONS
    assert find_losses(clients.acknowledged, database) == []
    found = _list_owners_between(clients, began_at, handover)
    assert found == [{owner.url}, {other.url}]


def _measure(hand_over: Callable[[], None]) -> Handover:
    before = time.monotonic()
    hand_over()
    return before, time.monotonic()


def _list_owners_between(clients: Clients, began_at: float, *handovers: Handover) -> list[set[str]]:
    """Which servers accepted what was wholly done before, between and after handovers."""
    starts = [began_at, *(after for _, after in handovers)]
    ends = [*(before for before, _ in handovers), time.monotonic()]
    accepted = clients.acknowledged.accepted
    return [
        {each.url for each in accepted if start <= each.sent_at and each.answered_at <= end}
        for start, end in zip(starts, ends, strict=True)
    ]


def _tell_apart(clients: Clients, servers: Servers) -> Servers:
    """The server that has the study, and the other one."""
    first, second = servers
    is_first = clients.acknowledged.accepted[-1].url == first.url
    return (first, second) if is_first else (second, first)


def _wait_for_more(clients: Clients, operations: int) -> None:
    wanted = clients.acknowledged.operations + operations
    _wait_until(lambda: clients.acknowledged.operations >= wanted)


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "nothing came of it"
        time.sleep(_LOOK_AGAIN_SECONDS)


# Requests and queries


def _create(server: ServerProcess, name: str, **settings: Any) -> None:
    spec = {"name": name, "direction": "minimize", "sampler": {"type": "RandomSampler"}, **settings}
    assert _send(server, "POST", "/studies", spec).status_code == 201


def _delete(servers: Servers, name: str) -> None:
    """By the server that has it."""
    statuses = [_send(server, "DELETE", f"/studies/{name}", None).status_code for server in servers]
    assert 204 in statuses, statuses


def _ask(server: ServerProcess, name: str, **body: Any) -> httpx.Response:
    return _send(server, "POST", f"/studies/{name}/ask", body)


def _get(server: ServerProcess, path: str) -> httpx.Response:
    return httpx.get(server.url + path, headers=HEADERS)


def _send(server: ServerProcess, method: str, path: str, body: Any) -> httpx.Response:
    url = server.url + path
    return httpx.request(method, url, json=body, headers=HEADERS, timeout=_DEADLINE_SECONDS)


def _check_refused(response: httpx.Response) -> None:
    assert response.status_code == 503, response.text
    assert response.json()["code"] == "study-owned-elsewhere"
    assert int(response.headers["Retry-After"]) > 0


def _get_refusal(server: ServerProcess, name: str) -> str:
    """Why an ask is answered 503; its connection may be new and not have tried the lock yet."""
    refused = _ask(server, name)
    assert refused.status_code == 503, refused.text
    return str(refused.json()["code"])


def _list_owners(database: Database) -> list[tuple[str, int]]:
    with psycopg.connect(database.plain_conninfo) as connection:
        return connection.execute(_LIST_OWNERS).fetchall()


def _list_states(database: Database, name: str) -> list[str]:
    with psycopg.connect(database.plain_conninfo) as connection:
        return [state for (state,) in connection.execute(_LIST_STATES, (name,))]


def _end_connection_of_owner(database: Database) -> None:
    ((_, pid),) = _list_owners(database)
    with psycopg.connect(database.plain_conninfo, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(%s)", (pid,))
