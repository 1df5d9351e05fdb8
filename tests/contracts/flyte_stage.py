"""Executions in a stand-in for Flyte that have no program: what they do is told to it."""

import secrets

from service.schedulers.executors.base import Executor, Launch
from tests.flyte.executor_bench import Bench


class FlyteStage:
    """Flyte has names once for ever, so each stage has a sweep of its own."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._sweep_id = secrets.token_hex(4)

    def open(self) -> Executor:
        return self._bench.open_executor()

    def build_launch(self, attempt_id: str) -> Launch:
        return self._build(attempt_id, x=0.5)

    def build_refused(self, attempt_id: str) -> Launch:
        return self._build(attempt_id, x="fast")

    def end(self, attempt_id: str, exit_code: int) -> None:
        assert exit_code == 0
        self._bench.admin.succeed(f"asktell-{attempt_id}", o0=0.5)

    def count_executions(self, attempt_id: str) -> int:
        records = self._bench.admin.executions.values()
        return sum(record.labels["asktell-attempt"] == attempt_id for record in records)

    def _build(self, attempt_id: str, x: object) -> Launch:
        _, trial, attempt = attempt_id.split("-")
        name = f"{self._sweep_id}-{trial}-{attempt}"
        return self._bench.build_launch({"x": x}, attempt_id=name, metrics=("accuracy",))
