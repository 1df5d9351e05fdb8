"""All executors keep the contract."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.schedulers.executors.base import Executor, Launch
from service.schedulers.executors.fake import FakeExecutor, FakeWorld
from tests.contracts.executor_contract import ExecutorContract, Stage
from tests.contracts.process_stage import ProcessStage
from tests.contracts.wandb_stage import WandbStage


class FakeStage:
    def __init__(self) -> None:
        self._world = FakeWorld()

    def open(self) -> Executor:
        return FakeExecutor(self._world)

    def build_launch(self, attempt_id: str) -> Launch:
        return Launch(attempt_id, metrics=("accuracy",))

    def build_refused(self, attempt_id: str) -> Launch:
        self._world.refuse(attempt_id, "Not here.")
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


class TestFake(ExecutorContract):
    @pytest.fixture
    def stage(self) -> Stage:
        return FakeStage()


class TestProcess(ExecutorContract):
    @pytest.fixture
    def stage(self, tmp_path: Path) -> Iterator[Stage]:
        stage = ProcessStage(tmp_path)
        yield stage
        stage.close()


class TestWandb(ExecutorContract):
    @pytest.fixture
    def stage(self, tmp_path: Path) -> Iterator[Stage]:
        stage = WandbStage(tmp_path)
        yield stage
        stage.close()
