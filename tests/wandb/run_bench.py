"""A worker's executor on programs that use the real wandb."""

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from service.domain.attempts import Ending, build_attempt_id
from service.schedulers.executors.base import Executor, Launch, Sighting, Watch
from service.schedulers.executors.connection.connection import SystemConnection
from service.schedulers.executors.process.executor import (
    ATTEMPTS,
    ATTEMPTS_OF_RUNS,
    ProcessExecutor,
    ProcessSettings,
)
from service.schedulers.executors.wandb.connection.system import describe_wandb
from service.schedulers.executors.wandb.local.executor import WandbExecutor, WandbSettings
from service.schedulers.executors.wandb.local.uploads import has_uploaded
from service.schedulers.executors.wandb.runs.run_api import WandbApi

PROJECT = "mnist"
_DEADLINE_SECONDS = 100.0

# An ordinary script, but for the last line of the loop, where it has an accident.
_PROGRAM = """
import json, math, os, signal, sys, time
import wandb

config = {"lr": 9, "opt": {"name": "", "decay": 0.5}}
if sys.argv[1:]:
    given = json.loads(sys.argv[1])
    config = {**given, "opt": {**config["opt"], **given["opt"]}}
options = json.loads(os.environ.get("THEIR_OPTIONS", "{}"))
run = wandb.init(project="theirs", id="theirs", config=config, **options)
doing = run.config.doing
for epoch in range(3 if doing != "wait" else 1000):
    # Worse where it goes on.
    loss = run.config.lr / (epoch + 1) + run.config.opt["decay"] + run.resumed
    if doing == "diverge" and epoch == 2:
        loss = math.nan
    if doing not in ("fail-run", "forget"):
        run.log({"loss": loss, "odd": math.nan, "val": {"accuracy": 1 - loss}})
        print(f"loss={loss} val.accuracy={1 - loss}")
    time.sleep(0.1)
    if epoch == 1 and doing == "raise":
        raise RuntimeError("boom")
    if epoch == 1 and doing == "kill":
        time.sleep(2.5)
        os.kill(os.getpid(), signal.SIGKILL)
    if epoch == 1 and doing == "leave":
        time.sleep(2.5)
        os._exit(0)
    if epoch == 1 and doing == "preempt" and not run.resumed:
        run.mark_preempting()
        sys.exit(1)
    if epoch == 1 and doing == "linger":
        time.sleep(run.config.seconds)
run.finish(exit_code=5 if doing == "fail-run" else 0)
"""


def build_params(number: int, doing: str) -> dict[str, Any]:
    """Returns what a sweep with a seed might give its trial of this number.

    Args:
        doing: The program's accident.
    """
    chance = random.Random(number)
    return {"lr": round(chance.uniform(0.1, 1.0), 3), "opt": {"name": "adam"}, "doing": doing}


@dataclass(frozen=True)
class Outcome:
    """What was seen of an attempt, to its end."""

    reference: str
    seen: Sighting

    @property
    def ending(self) -> Ending:
        assert self.seen.ending is not None
        return self.seen.ending


class RunBench:
    """A worker's folder.

    Args:
        environment: The WANDB_* of the worker; folders are its own.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        own = ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR")
        self._environment = {**environment, **dict.fromkeys(own, str(folder / "own"))}
        (folder / "own").mkdir(parents=True)
        (folder / "theirs").mkdir()
        (folder / "train.py").write_text(_PROGRAM)

    @asynccontextmanager
    async def open(self, *, upload_seconds: float = 60.0) -> AsyncIterator[WandbExecutor]:
        """Yields an executor that tends to things, as in a worker."""
        connection = SystemConnection(describe_wandb({**os.environ, **self._environment}))
        executor = WandbExecutor(
            self.open_processes(ATTEMPTS_OF_RUNS),
            WandbApi(connection),
            WandbSettings(
                self.folder,
                self._environment,
                was_preempted=lambda _: False,
                upload_seconds=upload_seconds,
            ),
        )
        tending = asyncio.create_task(executor.tend())
        try:
            yield executor
        finally:
            tending.cancel()
            await connection.close()

    def open_processes(self, attempts: str = ATTEMPTS) -> ProcessExecutor:
        return ProcessExecutor(
            ProcessSettings(
                workdir=self.folder,
                host="here",
                allowed=["*"],
                environment=os.environ,
                interpreter=sys.executable,
                attempts=attempts,
            )
        )

    def build_plain_launch(self, params: Mapping[str, Any], number: int) -> Launch:
        """Returns the launch of a program that gets its params as an argument and makes no run."""
        command = ["${interpreter}", "${program}", "${args_json}"]
        launch = self.build_launch(params, number, command=command)
        return replace(launch, environment={"WANDB_MODE": "disabled"})

    def build_launch(self, params: Mapping[str, Any], number: int, **arguments: Any) -> Launch:
        attempt_id = build_attempt_id("k3v9x2ab", number, 1)
        usual = {"program": "train.py", "project": PROJECT, "mode": "online", "value": "last"}
        return Launch(
            attempt_id,
            run_id=attempt_id,
            study="digits",
            trial=number,
            attempt=1,
            params=params,
            metrics=("loss", "val.accuracy"),
            directions=("minimize", "maximize"),
            environment={"ASKTELL_TOKEN": "a-secret-of-the-attempt"},
            arguments={**usual, "command": ["${interpreter}", "${program}"], **arguments},
        )

    def build_wilful_launch(self, params: Mapping[str, Any], number: int, **options: Any) -> Launch:
        """Returns the launch of a program that gives these options to `wandb.init` itself."""
        launch = self.build_launch(params, number)
        return replace(launch, environment={"THEIR_OPTIONS": json.dumps(options)})

    def has_uploaded(self, launch: Launch) -> bool:
        """Whether W&B has all of a run, by what is in the folder of its attempt."""
        (run_folder,) = self.folder.glob(f"{ATTEMPTS_OF_RUNS}/{launch.attempt_id}/runs/wandb/run-*")
        return has_uploaded(str(run_folder))

    def list_kept(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("wandb/*run-*"))


async def follow(
    executor: Executor,
    launch: Launch,
    meanwhile: Callable[[], Awaitable[object]] | None = None,
    *,
    at_end: Callable[[], object] = lambda: None,
) -> Outcome:
    """Launches an attempt, sees it to its end, and forgets it.

    Args:
        meanwhile: Done once after its second row.
        at_end: Done before it is forgotten.
    """
    reference = await executor.launch(launch)
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while True:
        seen = (await executor.poll([Watch(launch)])).get(launch.attempt_id)
        if seen is not None and seen.ending is not None:
            at_end()
            await executor.forget(launch)
            return Outcome(reference, seen)
        if meanwhile is not None and seen is not None and len(seen.rows) >= 2:
            await meanwhile()
            meanwhile = None
        assert time.monotonic() < deadline, seen
        await asyncio.sleep(0.1)


def build_next(launch: Launch) -> Launch:
    """Returns the launch of the attempt that goes on where this one had to leave off."""
    attempt_id = build_attempt_id("k3v9x2ab", launch.trial, launch.attempt + 1)
    return replace(launch, attempt_id=attempt_id, attempt=launch.attempt + 1)
