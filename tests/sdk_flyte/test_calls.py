"""Calls of one trial whose executions fail to be followed, are found again or are left."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
from asktell.flyte import Optimizer
from asktell.flyte._launching import TrialQueue
from flytekit.configuration import ImageConfig, SerializationSettings
from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.worker_queue import Controller
from flytekit.exceptions.base import FlyteException
from flytekit.exceptions.eager import EagerException

from tests.flyte.remotes import open_remote
from tests.flyte_admin import FlyteAdmin
from tests.flyte_admin.admin import DOMAIN, PROJECT, VERSION
from tests.sdk.servers import ServerProcess
from tests.sdk_flyte import durable
from tests.sdk_flyte.test_server import leave_running


class IdleController(Controller):
    """Without flytekit's own thread, which has nothing to do."""

    def _poll(self) -> None:
        return


@pytest.fixture(scope="module")
def admin(shared_flyte_admin: FlyteAdmin) -> FlyteAdmin:
    shared_flyte_admin.register(durable.__name__)
    return shared_flyte_admin


@pytest.fixture
def controller(admin: FlyteAdmin) -> Controller:
    settings = SerializationSettings(
        image_config=ImageConfig.auto(img_name="example.com/stand-in:1"),
        project=PROJECT,
        domain=DOMAIN,
        version=VERSION,
    )
    return IdleController(open_remote(admin), settings, "tag", "tag", "prefix")


def open_queue(controller: Controller, study_key: str) -> TrialQueue:
    """Of the first attempt of the first trial, in a process that knows of no others."""
    return TrialQueue(controller, study_key, "0-1", optimizer_number=0, envs={}, running=set())


def list_new(admin: FlyteAdmin, before: set[str]) -> list[Any]:
    return [record for name, record in admin.executions.items() if name not in before]


async def test_an_execution_that_cannot_be_followed_is_terminated(
    admin: FlyteAdmin, controller: Controller, tmp_path: Path
) -> None:
    before = set(admin.executions)
    inputs = {"path": str(tmp_path / "never"), "x": 0.9}
    adding = asyncio.ensure_future(open_queue(controller, "refused").add(durable.wait_for, inputs))
    await asyncio.to_thread(admin.wait_until, lambda: list_new(admin, before))
    admin.break_("GetExecution", grpc.StatusCode.PERMISSION_DENIED)
    with pytest.raises(FlyteException):
        await adding
    admin.wait_for(list_new(admin, before)[0].name, "ABORTED")


async def test_calls_in_another_order_do_not_get_each_others_results(
    controller: Controller,
) -> None:
    first, again = (open_queue(controller, "folds") for _ in range(2))
    for x in (0.25, 0.5):
        assert await first.add(durable.wait_for, {"path": "", "x": x}) == x
    with pytest.raises(EagerException, match="started with other inputs"):
        await again.add(durable.wait_for, {"path": "", "x": 0.5})
    assert await again.add(durable.wait_for, {"path": "", "x": 0.5}) == 0.5


async def test_executions_of_trials_that_nobody_comes_to_are_terminated(
    admin: FlyteAdmin, server: ServerProcess, controller: Controller, tmp_path: Path
) -> None:
    """Two trials run on a cluster when their optimizer is lost; the next one fails at the first."""
    before = set(admin.executions)
    inputs = {"path": str(tmp_path / "never"), "x": 0.9}

    def objective(trial: Any) -> float:
        raise ValueError("bad")

    with server.open_client() as client:
        options: dict[str, Any] = {
            "server": client,
            "study_name": "left",
            "sampler": {"type": "RandomSampler"},
        }
        leave_running(options, 2)
        study = client.get_study("left")
        created_at = study.summary().created_at.isoformat()
        queue = TrialQueue(
            controller,
            f"left {study.seed} {created_at}",
            "1-1",
            optimizer_number=0,
            envs={},
            running=set(),
        )
        # Its process is killed, so nobody terminates it.
        await asyncio.to_thread(queue._launch, durable.wait_for, inputs, "left-behind")
        context = FlyteContextManager.current_context().with_worker_queue(controller)
        with FlyteContextManager.with_context(context), pytest.raises(ValueError, match="bad"):
            await Optimizer(objective, 1, 2, on_error="raise", **options)()
        assert [trial.state.name for trial in study.trials] == ["FAIL", "FAIL"]
    assert [record.name for record in list_new(admin, before)] == ["left-behind"]
    await asyncio.to_thread(admin.wait_for, "left-behind", "ABORTED")


@pytest.mark.timeout(40)
async def test_terminating_does_not_wait_for_flyte_for_long(
    admin: FlyteAdmin, controller: Controller, tmp_path: Path
) -> None:
    before = set(admin.executions)
    inputs = {"path": str(tmp_path / "never"), "x": 0.9}
    adding = asyncio.ensure_future(open_queue(controller, "hanging").add(durable.wait_for, inputs))
    await asyncio.to_thread(admin.wait_until, lambda: list_new(admin, before))
    admin.hang("TerminateExecution", times=None)
    adding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await adding
    admin.recover()
    admin.abort(list_new(admin, before)[0].name, "enough")
