"""The server process: everything that `asktell serve` opens, in order, and closes again."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager
from types import FrameType
from typing import NoReturn

import typer
import uvicorn
import uvloop
from starlette.types import ASGIApp

from service import __version__
from service.api.app import build_app
from service.api.gate import GateRules
from service.api.login import LoginLinks
from service.cli.data_dir import (
    TOKEN_FILE,
    get_or_make_token,
    hold_data_dir,
    make_data_dir,
    publish_address,
)
from service.cli.databases import open_migrated_database
from service.cli.inner_worker import InnerWorker, build_inner_worker
from service.cli.listening import build_url, find_own_hosts, open_listener
from service.cli.options import load_worker_settings
from service.cli.running_code import open_code_runner
from service.domain.tokens import Credentials
from service.engine.engine import Engine, open_engine, read_clock
from service.settings import Settings, WorkerSettings
from service.storage.database import Database
from service.web.dashboard import DashboardProcess
from service.web.dashboard_proxy import DashboardProxy
from service.web.routes import build_web_routes

EngineOpener = Callable[..., AbstractAsyncContextManager[Engine]]

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Training jobs think for minutes between calls; reconnecting for each would cost more.
_KEEP_ALIVE_SECONDS = 75


def run_server(
    settings: Settings, *, migrate: bool, open_engine: EngineOpener = open_engine
) -> None:
    """Serve until SIGINT or SIGTERM, then finish open requests and close everything.

    Args:
        open_engine: Another way to open the engine, for tests that inject faults.

    Raises:
        CannotStart: A setting or the machine stands in the way; the message says which.
        AsktellError: The database cannot be reached, or its schema does not fit.
        EmbeddedPostgresError: The embedded Postgres cannot be started.
    """
    _leave_on_stop_signals()
    make_data_dir(settings.data_dir)
    with ExitStack() as stack:
        stack.enter_context(hold_data_dir(settings.data_dir))
        token = _get_token(settings)
        worker_settings = load_worker_settings()
        listener = stack.enter_context(open_listener(settings.host, settings.port))
        database = stack.enter_context(open_migrated_database(settings, migrate=migrate))
        code_runner = stack.enter_context(open_code_runner(settings))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(
                _serve(
                    settings,
                    worker_settings,
                    token=token,
                    listener=listener,
                    database=database,
                    engine=open_engine(
                        database,
                        code_runner=code_runner,
                        sampler_processes=settings.sampler_processes,
                        sampler_timeout_seconds=settings.sampler_timeout_seconds,
                    ),
                )
            )
        _leave_on_stop_signals()


async def _serve(
    settings: Settings,
    worker_settings: WorkerSettings,
    *,
    token: str,
    listener: socket.socket,
    database: Database,
    engine: AbstractAsyncContextManager[Engine],
) -> None:
    url = build_url(settings.host, listener.getsockname()[1])
    links = LoginLinks(clock=read_clock)
    async with (
        engine as opened,
        _open_dashboard(settings, database) as dashboard,
        build_inner_worker(settings, worker_settings, url=url, token=token) as worker,
    ):
        pages = build_web_routes(opened.reads, dashboard)
        rules = _build_rules(settings, token)
        app = build_app(engine=opened, rules=rules, extra_routes=pages, login_links=links)
        server = _Server(
            _configure(app, settings),
            on_ready=lambda: _announce(settings, url, _open_link(links, rules)),
            on_leaving=opened.leave,
            worker=worker,
        )
        with publish_address(settings.data_dir, url):
            await server.serve(sockets=[listener])


@asynccontextmanager
async def _open_dashboard(
    settings: Settings, database: Database
) -> AsyncIterator[DashboardProxy | None]:
    if not settings.dashboard:
        yield None
        return
    async with DashboardProxy(DashboardProcess(database.sqlalchemy_url)) as dashboard:
        yield dashboard


def _get_token(settings: Settings) -> str:
    given = settings.token
    return get_or_make_token(settings.data_dir) if given is None else given.get_secret_value()


def _build_rules(settings: Settings, token: str) -> GateRules:
    return GateRules(
        credentials=Credentials.from_token(token),
        allowed_hosts=frozenset(settings.allowed_hosts) | find_own_hosts(settings.host),
        body_limit_bytes=settings.body_limit_bytes,
    )


def _configure(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        # Nothing here reads a client address: hosts are judged by the gate.
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )


def _open_link(links: LoginLinks, rules: GateRules) -> str:
    code, _ = links.open_link(rules.credentials.token_digest)
    return code


def _announce(settings: Settings, url: str, code: str) -> None:
    token_file = settings.data_dir / TOKEN_FILE
    source = token_file if settings.token is None else "the environment, ASKTELL_TOKEN"
    typer.echo(f"Asktell {__version__} is ready at {url}")
    typer.echo(f"Log in, once, within ten minutes: {url}/login/{code}")
    typer.echo(f"The token for programs is in {source}")


class _Server(uvicorn.Server):
    """Says when it is ready, and leaves with exit code 0 when a signal stops it.

    Its worker runs from the one to the other: how its trials end has to be told to a server that
    serves. A second signal does not wait for that.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        on_ready: Callable[[], None],
        on_leaving: Callable[[], None],
        worker: InnerWorker,
    ) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._on_leaving = on_leaving
        self._worker = worker
        self._leaving: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()
            self._worker.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Whoever waits for a trial would be waited for.
        self._on_leaving()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # The parent's version raises the signal again afterwards, which would end the process
        # before the engine and Postgres are closed.
        loop = asyncio.get_running_loop()
        for number in _STOP_SIGNALS:
            loop.add_signal_handler(number, self._leave, number)
        yield

    def _leave(self, number: int) -> None:
        if self._leaving is None:
            self._leaving = asyncio.get_running_loop().create_task(self._leave_in_order(number))
        else:
            self.handle_exit(number, None)

    async def _leave_in_order(self, number: int) -> None:
        try:
            await self._worker.stop()
        finally:
            self.handle_exit(number, None)


def _leave_on_stop_signals() -> None:
    """Outside of the event loop a signal unwinds the stack: what was opened is closed."""
    for number in _STOP_SIGNALS:
        signal.signal(number, _leave)


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)
