"""Runs in a sweep of W&B in memory, whose agents take them as soon as anybody looks."""

import time

from service.schedulers.executors.base import Executor, Launch
from service.schedulers.executors.wandb.agents.agent_api import AgentApi
from service.schedulers.executors.wandb.agents.agent_executor import WandbAgentExecutor
from service.schedulers.executors.wandb.runs.run_api import WandbApi
from service.schedulers.executors.wandb.runs.run_settings import RunSettings
from tests.unit.agent_world import AgentWorld, build_launch


class AgentStage:
    def __init__(self) -> None:
        self._world = AgentWorld(takes_at_once=True)

    def open(self) -> Executor:
        settings = RunSettings({}, tick_seconds=0, soonest_seconds=0, clock=time.monotonic)
        return WandbAgentExecutor(WandbApi(self._world), AgentApi(self._world), settings)

    def build_launch(self, attempt_id: str) -> Launch:
        return build_launch(int(attempt_id.split("-")[1]))

    def build_refused(self, attempt_id: str) -> Launch:
        self._world.refusals["enqueue_run"] = "Not here."
        return self.build_launch(attempt_id)

    def end(self, attempt_id: str, exit_code: int) -> None:
        runs = [run for run in self._world.list_enqueued() if run.label == _find_label(attempt_id)]
        (run,) = [run for run in runs if run.state != "killed"]
        if run.state == "pending":
            self._world.take()
        run.end("failed" if exit_code else "finished")

    def count_executions(self, attempt_id: str) -> int:
        return self._world.executions[_find_label(attempt_id)]


def _find_label(attempt_id: str) -> str:
    return f"trial-{attempt_id.split('-')[1]}"
