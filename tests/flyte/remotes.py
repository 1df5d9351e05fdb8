"""The genuine client of Flyte, and what tests ask of it."""

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import grpc
from flytekit.configuration import AuthType, Config, PlatformConfig
from flytekit.exceptions.base import FlyteException
from flytekit.remote import FlyteRemote
from flytekit.remote.executions import FlyteWorkflowExecution

from tests.flyte_admin import FlyteAdmin
from tests.flyte_admin.admin import DOMAIN, PROJECT, VERSION
from tests.flyte_admin.records import Executed

PROGRAMS = "tests.flyte.programs"
NOBODY = ("nobody", "no secret")


def open_remote(
    admin: FlyteAdmin, *, client: tuple[str, str] = NOBODY, retries: int = 0
) -> FlyteRemote:
    """A client of its own.

    Args:
        client: Its identifier and secret; by default flytekit would open a browser.
        retries: How often it repeats a call that failed; flytekit's default is 3.
    """
    platform = PlatformConfig(
        endpoint=admin.endpoint,
        insecure=True,
        rpc_retries=retries,
        auth_mode=AuthType.CLIENTSECRET,
        client_id=client[0],
        client_credentials_secret=client[1],
    )
    return FlyteRemote(Config(platform=platform), PROJECT, DOMAIN, interactive_mode_enabled=False)


def execute(
    remote: FlyteRemote, task: str, name: str, inputs: dict[str, Any], **settings: Any
) -> FlyteWorkflowExecution:
    """Begins an execution of one of programs.py."""
    fetched = remote.fetch_task(name=f"{PROGRAMS}.{task}", version=VERSION)
    return remote.execute(fetched, inputs, execution_name=name, **settings)


def finish(remote: FlyteRemote, execution: FlyteWorkflowExecution) -> FlyteWorkflowExecution:
    """The execution when it has ended, with its nodes."""
    return remote.wait(execution, timedelta(seconds=100), timedelta(seconds=0.05))


def find_code(act: Callable[[], object]) -> grpc.StatusCode | None:
    """The code with which admin refused, None if it did not."""
    try:
        act()
    except grpc.RpcError as error:
        return read_code(error)
    except FlyteException as error:
        if not isinstance(error.__cause__, grpc.RpcError):
            raise
        return read_code(error.__cause__)
    return None


def read_code(error: grpc.RpcError) -> grpc.StatusCode:
    assert isinstance(error, grpc.Call)
    return error.code()


def list_attempts(admin: FlyteAdmin, name: str) -> list[int]:
    """Those attempts of an execution's task that were started."""
    return [each.attempt for each in admin.executed if each.execution == name]


def wait_for_program(admin: FlyteAdmin, name: str, output: str) -> Executed:
    """The program of an execution, when it has printed this."""
    admin.wait_until(lambda: list_attempts(admin, name) and output in admin.read_log(name))
    return next(each for each in admin.executed if each.execution == name)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
