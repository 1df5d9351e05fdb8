"""Calls of Flyte by threads."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from asktell.flyte._launching import _call
from flytekit.core.context_manager import FlyteContextManager
from flytekit.exceptions.system import FlyteSystemException


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

    assert await _call(work) == 2


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
