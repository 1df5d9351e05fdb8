"""How a worker's connection comes into a Flyte that asks who it is."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from service.schedulers.executors.connection.connection import SystemAway, SystemRefused
from service.schedulers.executors.flyte.system import describe_flyte
from tests.flyte.executor_bench import (
    PLANTED,
    Bench,
    build_worker_environment,
    list_children,
    open_connection,
    read_command,
)
from tests.flyte_admin import FlyteAdmin
from tests.log_lines import open_log

CLIENT, SECRET = "asktell-worker", "a-secret-of-the-client"
LOG_IN = "Give the worker credentials of Flyte that are valid."

# In place of what flytekit would ask a person by: each use is noted.
TRAP = """
from pathlib import Path

def note(*words, **_):
    with (Path(__file__).parents[{depth}] / "used").open("a") as stream:
        print(__name__, *words, file=stream)

open_new_tab = open_new = open = get = note
get_password = set_password = delete_password = note
"""
ERRORS = """
class NoKeyringError(RuntimeError): ...
class PasswordDeleteError(Exception): ...
"""


@pytest.fixture(scope="module")
def _shared_admin() -> Iterator[FlyteAdmin]:
    with FlyteAdmin(client=(CLIENT, SECRET)) as admin:
        admin.plant_task(PLANTED, inputs={"x": float}, outputs={"o0": float})
        yield admin
        assert admin.unknown == []


@pytest.fixture
def admin(_shared_admin: FlyteAdmin) -> Iterator[FlyteAdmin]:
    yield _shared_admin
    _shared_admin.recover()


@asynccontextmanager
async def open_worker(environment: Mapping[str, str], admin: FlyteAdmin) -> AsyncIterator[Bench]:
    connection = open_connection(environment, late_seconds=0.1)
    # So many that no other test has them.
    bench = Bench(admin, connection, number=len(admin.executions))
    try:
        yield bench
    finally:
        await connection.close()


async def test_client_credentials_are_enough(admin: FlyteAdmin, tmp_path: Path) -> None:
    async with open_worker(build_worker_environment(admin, tmp_path), admin) as bench:
        launch = bench.build_launch()
        with bench.count_calls() as first:
            await bench.open_executor().launch(launch)
        with bench.count_calls() as second:
            await bench.open_executor().launch(launch)
        admin.revoke_tokens()
        with bench.count_calls() as third:
            await bench.open_executor().launch(launch)

    assert bench.find(launch).spec.metadata.principal == CLIENT
    assert (first["token"], second["token"], third["token"]) == (1, 0, 1)
    assert len(bench.list_executions(launch)) == 1


async def test_token_of_a_command_is_enough(admin: FlyteAdmin, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of-a-command")
    with admin.world.lock:
        admin.world.tokens.add("of-a-command")
    environment = build_worker_environment(admin, tmp_path) | {
        "FLYTE_CREDENTIALS_AUTH_MODE": "ExternalCommand",
        "FLYTE_CREDENTIALS_COMMAND": f"cat,{tmp_path / 'token'}",
    }
    async with open_worker(environment, admin) as bench:
        launch = bench.build_launch()
        with bench.count_calls() as calls:
            await bench.open_executor().launch(launch)

    assert len(bench.list_executions(launch)) == 1
    assert calls["token"] == 0


async def test_command_that_fails_is_never_shown(admin: FlyteAdmin, tmp_path: Path) -> None:
    """What it was given, and what it has said, may be a secret."""
    failing = "echo said-token; echo said-error >&2; exit 3"
    environment = build_worker_environment(admin, tmp_path) | {
        "FLYTE_CREDENTIALS_AUTH_MODE": "ExternalCommand",
        "FLYTE_CREDENTIALS_COMMAND": f"sh,-c,{failing},--password=given-word",
    }
    with open_log() as log:
        async with open_worker(environment, admin) as bench:
            with pytest.raises(SystemRefused) as refusal:
                await bench.open_executor().launch(bench.build_launch())
        told = log.read_text()

    failed = "The command that gives the token failed (status 3)."
    assert str(refusal.value) == f"{failed} {LOG_IN}"
    assert refusal.value.is_about_key
    for secret in ("said-token", "said-error", "given-word"):
        assert secret not in told + repr(refusal.value)


async def test_command_that_is_not_there_is_named(admin: FlyteAdmin, tmp_path: Path) -> None:
    environment = build_worker_environment(admin, tmp_path) | {
        "FLYTE_CREDENTIALS_AUTH_MODE": "ExternalCommand",
        "FLYTE_CREDENTIALS_COMMAND": "/nowhere/give-token,--password=given-word",
    }
    async with open_worker(environment, admin) as bench:
        with pytest.raises(SystemRefused, match="/nowhere/give-token") as refusal:
            await bench.open_executor().launch(bench.build_launch())
    assert refusal.value.is_about_key
    assert "given-word" not in repr(refusal.value)


async def test_secret_that_is_wrong_is_refused_and_never_shown(
    admin: FlyteAdmin, tmp_path: Path
) -> None:
    wrong = {"FLYTE_CREDENTIALS_CLIENT_SECRET": "not-the-secret"}
    environment = build_worker_environment(admin, tmp_path) | wrong
    with open_log() as log:
        async with open_worker(environment, admin) as bench:
            with bench.count_calls() as calls, pytest.raises(SystemRefused) as refusal:
                await bench.open_executor().launch(bench.build_launch())
            commands = [read_command(pid) for pid in list_children()]
        told = log.read_text()

    assert "invalid_client" in str(refusal.value)
    assert str(refusal.value).endswith(LOG_IN)
    assert calls["token"] == 1
    shown = [told, repr(refusal.value), repr(describe_flyte(environment)), *commands]
    assert "not-the-secret" not in "".join(shown)


async def test_credentials_are_given_to_a_worker_that_runs(
    admin: FlyteAdmin, tmp_path: Path
) -> None:
    config, secret = tmp_path / "config.yaml", tmp_path / "secret"
    written = (
        f"admin:\n  endpoint: {admin.endpoint}\n  insecure: true\n  authType: ClientSecret\n"
        f"  clientId: {{}}\n  clientSecretLocation: {secret}\n"
    )
    config.write_text(written.format("somebody"))
    secret.write_text("")
    environment = {"HOME": str(tmp_path), "FLYTECTL_CONFIG": str(config)}
    async with open_worker(environment, admin) as bench:
        launch = bench.build_launch()
        with pytest.raises(SystemRefused, match="Client ID and Client SECRET both are required"):
            await bench.open_executor().launch(launch)
        secret.write_text("not-the-secret")
        with pytest.raises(SystemRefused, match="invalid_client"):
            await bench.open_executor().launch(launch)
        secret.write_text(SECRET)
        with pytest.raises(SystemRefused, match="invalid_client"):
            await bench.open_executor().launch(launch)
        config.write_text(written.format(CLIENT))
        await bench.open_executor().launch(launch)
        assert len(list_children()) == 1


@pytest.mark.parametrize(
    ("code", "is_opened_anew"),
    [("UNAUTHENTICATED", True), ("PERMISSION_DENIED", True), ("FAILED_PRECONDITION", False)],
)
async def test_client_is_opened_anew_for_other_credentials_only(
    admin: FlyteAdmin, tmp_path: Path, code: str, is_opened_anew: bool
) -> None:
    async with open_worker(build_worker_environment(admin, tmp_path), admin) as bench:
        launch = bench.build_launch()
        admin.break_("CreateExecution", grpc.StatusCode[code], times=None)
        with pytest.raises(SystemRefused, match=f"told to fail with {code}") as refusal:
            await bench.open_executor().launch(launch)
        admin.recover()
        with bench.count_calls() as calls:
            await bench.open_executor().launch(launch)

    assert refusal.value.is_about_key == is_opened_anew
    assert ("token" in calls) == ("GetTask" in calls) == is_opened_anew


async def test_tokens_that_nobody_gives_out_now_are_waited_for(
    admin: FlyteAdmin, tmp_path: Path
) -> None:
    async with open_worker(build_worker_environment(admin, tmp_path), admin) as bench:
        launch = bench.build_launch()
        admin.break_("token", grpc.StatusCode.UNAVAILABLE)
        with pytest.raises(SystemAway):
            await bench.open_executor().launch(launch)
        admin.hang("token")
        with pytest.raises(SystemAway, match="did not answer within"):
            await bench.connection.call(
                "find_executions",
                {"project": "flytesnacks", "domain": "development", "attempts": ["none"]},
                deadline_seconds=1.0,
            )
        admin.recover()
        await bench.open_executor().launch(launch)


class TestNobodyIsAsked:
    @pytest.fixture
    def trap(self, tmp_path: Path) -> Path:
        """A folder for PYTHONPATH; a file `used` in it tells what was asked."""
        (tmp_path / "keyring").mkdir()
        (tmp_path / "webbrowser.py").write_text(TRAP.format(depth=0))
        (tmp_path / "keyring" / "__init__.py").write_text(TRAP.format(depth=1))
        (tmp_path / "keyring" / "errors.py").write_text(ERRORS)
        return tmp_path

    @pytest.mark.parametrize("mode", ["", "Pkce", "DeviceFlow"])
    async def test_to_log_in(self, trap: Path, mode: str) -> None:
        modes = {"FLYTE_CREDENTIALS_AUTH_MODE": mode} if mode else {}
        with FlyteAdmin() as admin:
            environment = build_trapped_environment(admin, trap) | modes
            async with open_worker(environment, admin) as bench:
                launch = bench.build_launch()
                for code, error in (("UNAUTHENTICATED", SystemRefused), ("UNKNOWN", SystemAway)):
                    admin.break_("*", grpc.StatusCode[code], times=None)
                    with pytest.raises(error, match=f"told to fail with {code}"):
                        await bench.open_executor().launch(launch)
                    admin.recover()
            assert "GetPublicClientConfig" not in admin.calls

        assert not (trap / "used").exists()

    def test_by_flytekit_itself_somebody_is(self, trap: Path) -> None:
        """So the test above would see it."""
        with FlyteAdmin() as admin:
            environment = build_trapped_environment(admin, trap)
            subprocess.run([sys.executable, "-c", ASK], env=environment, check=True)

        assert "keyring" in (trap / "used").read_text()


def build_trapped_environment(admin: FlyteAdmin, trap: Path) -> dict[str, str]:
    return build_worker_environment(admin, trap) | {"PYTHONPATH": str(trap)}


ASK = """
from flytekit.clients.friendly import SynchronousFlyteClient
from flytekit.configuration import PlatformConfig

SynchronousFlyteClient(PlatformConfig.auto()).list_projects_paginated()
"""
