"""Calls of Flyte by threads."""

import asyncio
import threading

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
