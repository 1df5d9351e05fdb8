"""All executors keep the contract."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.schedulers.executors.base import Executor, Launch, LaunchRefused
from service.schedulers.executors.fake import FakeExecutor, FakeWorld
from tests.contracts.agent_stage import AgentStage
from tests.contracts.executor_contract import (
    ExecutorContract,
    LocalExecutorContract,
    LocalStage,
    Stage,
)
from tests.contracts.flyte_stage import FlyteStage
from tests.contracts.process_stage import ProcessStage
from tests.contracts.wandb_stage import WandbStage
from tests.flyte.executor_bench import Bench
from tests.flyte.executor_bench import bench as bench


class FakeStage:
    def __init__(self) -> None:
        self._world = FakeWorld()

    def open(self) -> Executor:
        return FakeExecutor(self._world)

    def build_launch(self, attempt_id: str) -> Launch:
        return Launch(attempt_id, metrics=("accuracy",))

    def build_refused(self, attempt_id: str) -> Launch:
        self._world.refuse(attempt_id, LaunchRefused("Not here."))
        return self.build_launch(attempt_id)

    def report(self, attempt_id: str, value: float, step: int) -> None:
        self._world.report(attempt_id, {"accuracy": value}, step=step)

    def print(self, attempt_id: str, text: str) -> None:
        self._world.print(attempt_id, f"{text}\n")

    def end(self, attempt_id: str, exit_code: int) -> None:
        self._world.end(attempt_id, exit_code=exit_code)

    def vanish(self, attempt_id: str) -> None:
        self._world.vanish(attempt_id)

    def count_executions(self, attempt_id: str) -> int:
        return self._world.executions[attempt_id]


class TestFake(LocalExecutorContract):
    @pytest.fixture
    def stage(self) -> LocalStage:
        return FakeStage()


class TestProcess(LocalExecutorContract):
    @pytest.fixture
    def stage(self, tmp_path: Path) -> Iterator[LocalStage]:
        stage = ProcessStage(tmp_path)
        yield stage
        stage.close()


class TestWandb(LocalExecutorContract):
    @pytest.fixture
    def stage(self, tmp_path: Path) -> Iterator[LocalStage]:
        stage = WandbStage(tmp_path)
        yield stage
        stage.close()


class TestWandbAgent(ExecutorContract):
    @pytest.fixture
    def stage(self) -> Stage:
        return AgentStage()


@pytest.mark.asyncio(loop_scope="module")
class TestFlyte(ExecutorContract):
    """Flyte has neither rows nor logs, and its executor keeps nothing where it runs."""

    @pytest.fixture
    def stage(self, bench: Bench) -> Iterator[Stage]:
        yield FlyteStage(bench)
        bench.clear()
