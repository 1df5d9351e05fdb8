"""The executor wandb-agent by the real SDK, whose W&B is the stand-in."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from service.domain.attempts import EndingKind
from service.schedulers.executors.base import Sighting, StopKind, SweepRefused, Watch
from service.schedulers.executors.connection.connection import SystemConnection
from service.schedulers.executors.wandb.agents.agent_api import AgentApi
from service.schedulers.executors.wandb.agents.agent_executor import WandbAgentExecutor
from service.schedulers.executors.wandb.connection.system import describe_wandb
from service.schedulers.executors.wandb.runs.run_api import WandbApi
from service.schedulers.executors.wandb.runs.run_settings import RunSettings
from tests.contracts.executor_contract import watch_until
from tests.unit.agent_world import build_launch
from tests.unit.launch_worker import Clock
from tests.wandb_backend import Backend
from tests.wandb_backend.run_records import HISTORY, RunRecord
from tests.wandb_backend.sweep_records import AgentRecord

pytestmark = pytest.mark.timeout(180)


@asynccontextmanager
async def open_executor(
    backend: Backend, folder: Path, clock: Clock
) -> AsyncIterator[WandbAgentExecutor]:
    folders = {f"WANDB_{name}_DIR": str(folder) for name in ("CACHE", "CONFIG", "DATA")}
    environment = {"HOME": str(folder), **folders, **backend.build_environment()}
    connection = SystemConnection(describe_wandb(environment), chance=lambda: 0.0)
    settings = RunSettings(environment, tick_seconds=0, soonest_seconds=0, clock=clock)
    yield WandbAgentExecutor(WandbApi(connection), AgentApi(connection), settings)
    await connection.close()


def list_states(backend: Backend) -> list[str]:
    return [run.state for run in backend.runs.values()]


def begin(backend: Backend) -> RunRecord:
    """What a program does that an agent begins."""
    with backend.world.lock:
        run = next(run for run in backend.world.runs.values() if run.state == "pending")
        run.start(backend.world.clock())
        run.write_lines(HISTORY, 0, [json.dumps({"_step": 0, "loss": 0.5})])
    return run


async def test_from_the_sweep_to_the_end(tmp_path: Path) -> None:
    clock, launch, stopped = Clock(), build_launch(1), build_launch(2)
    with Backend() as backend:
        backend.plant_sweep("sweep001")
        async with open_executor(backend, tmp_path, clock) as executor:
            # wandb-core asks again by itself, and W&B enqueues another.
            backend.lose("EnqueueSweepRun")
            reference = await executor.launch(launch)
            assert sorted(list_states(backend)) == ["killed", "pending"]
            run = begin(backend)
            assert reference == f"{run.path}/{launch.attempt_id}"
            assert run.params == launch.params
            seen = await watch_until(executor, Watch(launch), lambda seen: bool(seen.rows))
            assert [row.values for row in seen.rows] == [{"loss": 0.5}]

            await executor.launch(stopped)
            await executor.stop(stopped, StopKind.GRACEFUL)
            never = await watch_until(executor, Watch(stopped), lambda seen: bool(seen.ending))
            assert never.ending is not None
            assert never.ending.kind is EndingKind.NOT_STARTED

            # Its agent ends the program, which says no last word.
            await executor.stop(launch, StopKind.GRACEFUL)
            assert run.is_stopped

            def has_ended(seen: Sighting) -> bool:
                clock.seconds += 40
                return seen.ending is not None

            gone = await watch_until(executor, Watch(launch), has_ended)
            assert gone.ending is not None
            assert (gone.ending.kind, run.state) == (EndingKind.FAILED, "killed")
            assert gone.ending.values == {"loss": 0.5}
        assert backend.unknown == []


async def test_program_that_dies_before_its_run_begins(tmp_path: Path) -> None:
    clock, launch = Clock(), build_launch(1)
    with Backend() as backend:
        sweep = backend.plant_sweep("sweep001")
        async with open_executor(backend, tmp_path, clock) as executor:
            await executor.launch(launch)
            (run,) = backend.runs.values()
            backend.world.agents["a1"] = AgentRecord("a1", sweep.path, [run.name])

            def has_ended(seen: Sighting) -> bool:
                clock.seconds += 100
                return seen.ending is not None

            ended = await watch_until(executor, Watch(launch), has_ended)
        assert ended.ending is not None
        assert ended.ending.kind is EndingKind.FAILED
        assert "An agent took it" in (ended.ending.message or "")
        assert (run.state, backend.unknown) == ("killed", [])


async def test_older_server(tmp_path: Path) -> None:
    with Backend() as backend:
        backend.plant_sweep("sweep001")
        backend.world.features.clear()
        async with open_executor(backend, tmp_path, Clock()) as executor:
            with pytest.raises(SweepRefused, match="Upgrade it"):
                await executor.launch(build_launch())
    assert list_states(backend) == []
