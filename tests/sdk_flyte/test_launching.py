"""Calls of Flyte by threads."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from asktell.flyte._launching import _call
from flytekit.clients.friendly import SynchronousFlyteClient
from flytekit.configuration import AuthType, PlatformConfig
from flytekit.core.context_manager import FlyteContextManager
from flytekit.exceptions.system import FlyteSystemException

from tests.flyte_admin import FlyteAdmin
from tests.flyte_admin.ports import bind

CLIENT = "asktell", "a-secret"


async def test_a_cancellation_waits_for_the_call_that_is_under_way() -> None:
    begun, may_end = threading.Event(), threading.Event()

    def work() -> int:
        begun.set()
        may_end.wait()
        return 1

    calling = asyncio.ensure_future(_call(work))
    await asyncio.to_thread(begun.wait)
    calling.cancel()
    for _ in range(20):
        await asyncio.sleep(0)
    assert not calling.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await calling


async def test_calls_that_hang_leave_the_threads_of_asyncio_alone() -> None:
    may_end = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        asyncio.get_running_loop().set_default_executor(threads)
        calling = asyncio.ensure_future(_call(may_end.wait))
        for _ in range(20):
            await asyncio.sleep(0)
        await asyncio.to_thread(may_end.set)
        assert await calling


@pytest.mark.parametrize("code", [grpc.StatusCode.UNKNOWN, grpc.StatusCode.CANCELLED])
async def test_an_answer_that_says_nothing_is_asked_for_again(code: grpc.StatusCode) -> None:
    calls = 0

    class Lost(grpc.RpcError, grpc.Call):
        def code(self) -> grpc.StatusCode:
            return code

    Lost.__abstractmethods__ = frozenset()

    def work() -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise FlyteSystemException("lost") from Lost()
        return calls

    async def wait(seconds: float) -> None:
        assert calls == 1

    assert await _call(work, sleep=wait) == 2


class WaitsError(Exception):
    """The call is not given up, and is made again after a pause."""


async def wait_in_vain(seconds: float) -> None:
    raise WaitsError


async def test_tokens_that_nobody_gives_out_now_are_waited_for() -> None:
    with FlyteAdmin(client=CLIENT) as admin:
        admin.break_("token", grpc.StatusCode.UNAVAILABLE, times=None)

        async def recover(seconds: float) -> None:
            admin.recover()

        client = open_client(admin, client_credentials_secret=CLIENT[1])
        assert await _call(client.list_projects_paginated, sleep=recover)
        with bind(0) as unreachable:
            proxy = f"http://127.0.0.1:{unreachable.getsockname()[1]}"
            client = open_client(admin, client_credentials_secret=CLIENT[1], http_proxy_url=proxy)
            with pytest.raises(WaitsError):
                await _call(client.list_projects_paginated, sleep=wait_in_vain)


@pytest.mark.parametrize(
    "login",
    [
        {"client_credentials_secret": "wrong"},
        {"auth_mode": AuthType.EXTERNALCOMMAND, "command": ["no-such-command"]},
        {"auth_mode": AuthType.EXTERNALCOMMAND, "command": ["false"]},
    ],
)
async def test_a_login_that_is_refused_is_not_tried_again(login: dict[str, Any]) -> None:
    with FlyteAdmin(client=CLIENT) as admin:
        client = open_client(admin, **login)
        with pytest.raises(FlyteSystemException):
            await _call(client.list_projects_paginated, sleep=wait_in_vain)


def open_client(admin: FlyteAdmin, **login: Any) -> SynchronousFlyteClient:
    settings = {"auth_mode": AuthType.CLIENTSECRET, "client_id": CLIENT[0], **login}
    platform = PlatformConfig(endpoint=admin.endpoint, insecure=True, rpc_retries=0, **settings)
    return SynchronousFlyteClient(platform)


async def test_a_refusal_is_raised_at_once() -> None:
    calls = 0

    class Refused(grpc.RpcError, grpc.Call):
        def code(self) -> grpc.StatusCode:
            return grpc.StatusCode.PERMISSION_DENIED

    Refused.__abstractmethods__ = frozenset()

    def work() -> int:
        nonlocal calls
        calls += 1
        raise FlyteSystemException("no") from Refused()

    with pytest.raises(FlyteSystemException):
        await _call(work)
    assert calls == 1


async def test_calls_have_flytes_contexts_of_their_own() -> None:
    before = FlyteContextManager.size()

    def work() -> int:
        FlyteContextManager.push_context(FlyteContextManager.current_context())
        return FlyteContextManager.size()

    assert await _call(work) == before + 1
    assert FlyteContextManager.size() == before
