"""A worker that keeps sweeps outside, and the attempts that are to be in them."""

import asyncio
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from service.schedulers.executors.fake import FakeExecutor
from tests.unit.mirror_use import MemoryMirror, MirrorServer
from tests.unit.worker_use import ONE, QUICK, Stage, until

PATIENT = replace(QUICK, first_mirrors_seconds=60.0)
EXECUTOR = FakeExecutor.name

pytestmark = pytest.mark.timeout(20)


class MirrorsToo(Stage):
    """The server also has a sweep that is to be made outside, which takes until `gate` is set."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.outside = MemoryMirror()
        self.gate = self.outside.gates["id-of-digits"] = asyncio.Event()
        mirrors = MirrorServer()
        self.sweep = mirrors.offer("digits", executor=EXECUTOR)
        attempts = self.server.transport

        def answer(request: httpx.Request) -> httpx.Response:
            is_about_mirrors = "mirror" in request.url.path
            transport = mirrors.transport if is_about_mirrors else attempts
            return transport.handle_request(request)

        self.server.transport = httpx.MockTransport(answer)

    async def is_at_the_sweep(self) -> None:
        """Returns a while after the worker has begun to make it."""
        await until(lambda: self.outside.made["id-of-digits"] == 1)
        registrations = self.server.calls["register"]
        await until(lambda: self.server.calls["register"] > registrations + 3)


@pytest.fixture
async def stage(tmp_path: Path) -> MirrorsToo:
    return MirrorsToo(tmp_path / "worker")


async def test_attempts_wait_for_what_an_earlier_worker_could_not_make(stage: MirrorsToo) -> None:
    stage.sweep.problem = "No API key configured."
    attempt = stage.server.offer(ONE)
    async with stage.working(mirrors={EXECUTOR: stage.outside}, pace=PATIENT):
        await stage.is_at_the_sweep()
        assert stage.server.calls["claim"] == 0
        stage.gate.set()
        await until(lambda: attempt.worker_id is not None)
        assert stage.sweep.external_ref is not None


async def test_a_worker_that_is_told_to_go_does_not_wait(stage: MirrorsToo) -> None:
    async with stage.working(mirrors={EXECUTOR: stage.outside}, pace=PATIENT) as worker:
        await stage.is_at_the_sweep()
        worker.drain()
        await stage.has_left()
    assert stage.sweep.external_ref is None
