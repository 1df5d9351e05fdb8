"""optuna-dashboard in its process: what it shows, what it refuses, and how it comes and goes."""

import asyncio
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import optuna
import pytest
from optuna.exceptions import StorageInternalError
from starlette.applications import Starlette

from service.domain.studies import StudySummary
from service.storage.database import Database
from service.web.dashboard import DashboardProcess
from service.web.dashboard_process import open_read_only_storage
from service.web.dashboard_proxy import DashboardProxy
from service.web.routes import build_web_routes
from tests.plain_optuna import open_rdb_storage

DEADLINE_SECONDS = 60.0
LOOK_AGAIN_SECONDS = 0.05


class NoStudies:
    """Finds nothing, so that links lead nowhere."""

    async def find_study(self, name: str) -> StudySummary | None:
        return None


class Upstream:
    """Stands where optuna-dashboard's process would: notes each request, answers all the same."""

    ANSWER = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n"
        b"Content-Security-Policy: default-src 'self'\r\nSet-Cookie: theirs=1\r\n\r\nhello"
    )

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "http"
        self.requests: list[str] = []

    def ensure_running(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
        writer.write(self.ANSWER)
        writer.close()
        await writer.wait_closed()


def build_client(dashboard: DashboardProxy) -> httpx.AsyncClient:
    app = Starlette(routes=build_web_routes(NoStudies(), dashboard))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://asktell")


@pytest.fixture
async def upstream(tmp_path: Path) -> AsyncIterator[Upstream]:
    upstream = Upstream(tmp_path)
    async with await asyncio.start_unix_server(upstream.answer, upstream.socket):
        yield upstream


@pytest.fixture
async def client(upstream: Upstream) -> AsyncIterator[httpx.AsyncClient]:
    async with DashboardProxy(upstream) as dashboard, build_client(dashboard) as client:
        yield client


async def test_target_passes_as_it_was_written(upstream: Upstream, client: httpx.AsyncClient):
    await client.get("/static/a%20b%2Fc.js?x=%26&y=1")

    assert upstream.requests[0].startswith("get /static/a%20b%2fc.js?x=%26&y=1 http/1.1")


async def test_credentials_stay_with_us(upstream: Upstream, client: httpx.AsyncClient):
    headers = {"Authorization": "Bearer secret", "Cookie": "session=secret", "X-Other": "secret"}
    answer = await client.get("/api/studies", headers=headers)

    assert "secret" not in upstream.requests[0]
    assert "set-cookie" not in answer.headers


async def test_pages_cannot_be_framed_and_keep_their_own_policy(client: httpx.AsyncClient):
    answer = await client.get("/dashboard")

    theirs, ours = answer.headers.get_list("content-security-policy")
    assert theirs == "default-src 'self'"
    assert set(ours.split("; ")) >= {"default-src 'self'", "base-uri 'none'", "object-src 'none'"}
    assert "frame-ancestors 'none'" in ours


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/api/studies", "/api/trials/1/tell", "/dashboard"])
async def test_only_reading_is_forwarded(
    upstream: Upstream, client: httpx.AsyncClient, method: str, path: str
):
    answer = await client.request(method, path)

    assert answer.status_code == 405
    assert "read-only" in answer.json()["reason"]
    assert upstream.requests == []


@pytest.mark.parametrize("path", ["/api", "/api/other", "/dashboards", "/studies", "/staticfile"])
async def test_other_paths_are_not_the_dashboards(
    upstream: Upstream, client: httpx.AsyncClient, path: str
):
    assert (await client.get(path)).status_code == 404
    assert upstream.requests == []


async def test_visitors_are_asked_to_wait_until_it_listens(tmp_path: Path):
    async with DashboardProxy(Upstream(tmp_path)) as dashboard, build_client(dashboard) as client:
        page = await client.get("/dashboard/studies/1")
        data = await client.get("/api/studies")

    assert (page.status_code, data.status_code) == (503, 503)
    assert page.headers["retry-after"] == "1"
    assert 'http-equiv="refresh"' in page.text
    assert "starting" in data.json()["reason"]


async def test_a_killed_process_comes_back_and_stops_with_the_service(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    create_study(database, "digits")
    # Nothing is imported from the folder that the server runs in.
    (tmp_path / "json.py").write_text("import os; os._exit(77)")
    monkeypatch.chdir(tmp_path)
    process = DashboardProcess(database.sqlalchemy_url)
    async with DashboardProxy(process) as dashboard, build_client(dashboard) as client:
        assert await read_names(client) == ["digits"]
        pid = find_child(process.socket)
        os.kill(pid, signal.SIGKILL)
        create_study(database, "later")
        await wait_until(lambda: is_gone(pid))

        assert await read_names(client) == ["digits", "later"]
        pid = find_child(process.socket)

    assert is_gone(pid)
    assert not process.socket.parent.exists()


async def test_infinite_constraints_are_json_to_a_browser(database: Database):
    with open_rdb_storage(database) as storage:
        study = optuna.create_study(storage=storage)
        attrs = {"constraints": [math.inf, -math.inf, 0.5]}
        study.add_trial(optuna.trial.create_trial(value=1.0, system_attrs=attrs))
        path = f"/api/studies/{study._study_id}"
    process = DashboardProcess(database.sqlalchemy_url)
    async with DashboardProxy(process) as dashboard, build_client(dashboard) as client:
        await read_names(client)
        shown = json.loads((await client.get(path)).text, parse_constant=refuse_constant)

    (trial,) = shown["trials"]
    assert trial["constraints"] == [sys.float_info.max, -sys.float_info.max, 0.5]


def refuse_constant(word: str) -> None:
    """Browsers read JSON as it is defined."""
    raise AssertionError(f"{word} is no JSON")


async def test_only_its_owner_may_enter_the_sockets_folder(database: Database):
    process = DashboardProcess(database.sqlalchemy_url)
    async with DashboardProxy(process) as dashboard, build_client(dashboard) as client:
        await client.get("/api/studies")
        await wait_until(process.socket.parent.exists)

        assert process.socket.parent.stat().st_mode & 0o777 == 0o700


def test_process_ends_when_its_parents_pipe_does(database: Database, tmp_path: Path):
    socket = tmp_path / "folder" / "http"
    socket.parent.mkdir()
    command = [sys.executable, "-m", "service.web.dashboard_process", "--socket", str(socket)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)

    process.communicate(f"{database.sqlalchemy_url}\n", timeout=DEADLINE_SECONDS)

    assert process.returncode == 0
    assert not socket.parent.exists()


def test_postgres_itself_refuses_the_dashboards_writes(database: Database):
    create_study(database, "digits")
    storage = open_read_only_storage(database.sqlalchemy_url)

    with pytest.raises(StorageInternalError) as refusal:
        storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "other")

    assert "read-only transaction" in str(refusal.value.__cause__)
    assert [study.study_name for study in storage.get_all_studies()] == ["digits"]
    storage._backend.engine.dispose()


def create_study(database: Database, name: str) -> None:
    with open_rdb_storage(database) as storage:
        storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], name)


async def read_names(client: httpx.AsyncClient) -> list[str]:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            answer = await client.get("/api/studies")
            if answer.is_success:
                return [study["study_name"] for study in answer.json()["study_summaries"]]
            await asyncio.sleep(LOOK_AGAIN_SECONDS)


def find_child(socket: Path) -> int:
    command = f"\0--socket\0{socket}\0".encode()
    (pid,) = (
        int(process.name)
        for process in Path("/proc").iterdir()
        if process.name.isdigit() and command in read_command(process)
    )
    return pid


def read_command(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


async def wait_until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            if condition():
                return
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
