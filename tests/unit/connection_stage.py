"""A process behind a connection that does what the test wants, and no wandb anywhere."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from service.schedulers.executors.connection.connection import (
    ConnectionPace,
    SystemAway,
    SystemConnection,
)
from service.schedulers.executors.wandb.connection.system import describe_wandb

# Each life of the process takes the next list of what to do: at its start, then for each call.
PROCESS = """
import json, os, sys, time

def say(document):
    print(json.dumps(document), flush=True)

folder = sys.argv[1]
name = min(os.listdir(folder + "/lives"))
with open(folder + "/lives/" + name) as stream:
    script = json.load(stream)
os.remove(folder + "/lives/" + name)
start = script.pop(0)
if start == "die":
    sys.exit("Traceback:\\nModuleNotFoundError: nothing here")
if start[0] == "refuse":
    say({"refused": start[1]})
    sys.exit(1)
if start[0] == "die saying":
    sys.exit(start[1])
if start == "be silent":
    sys.stdin.read()
if start == "start late":
    with open(folder + "/may answer"):
        pass
say({"ready": True})
for line in sys.stdin:
    with open(folder + "/asked", "a") as stream:
        stream.write(line)
    request = json.loads(line)
    answer = {"id": request["id"], "kind": "done", "value": os.getpid(), "seconds": 0.01}
    answer["is_about_key"] = False
    match script.pop(0):
        case "echo":
            answer["value"] = request["arguments"]
        case "answer":
            pass
        case ["answer", extra]:
            answer |= extra
        case "answer late":
            with open(folder + "/may answer"):
                pass
        case ["answer late", extra]:
            with open(folder + "/may answer"):
                answer |= extra
        case "be silent":
            while True:
                time.sleep(60)
        case "garble":
            print("W&B says hello")
        case "die":
            os._exit(3)
        case "stay":
            say(answer)
            while True:
                time.sleep(60)
    say(answer)
"""
AWAY = ["answer", {"kind": "away", "value": "HTTP 503"}]
THROTTLED = ["answer", {"kind": "throttled", "value": "HTTP 429: slow down"}]
AWAY_LATE = ["answer late", {"kind": "away", "value": "HTTP 503"}]
REFUSED = ["answer", {"kind": "refused", "value": "There is no such run."}]
A_MOMENT, LONG_ENOUGH = 0.2, 60.0
KEY = "madeup" * 7
PASSWORD = "hunter%402"
BASE_URL = f"https://ada:{PASSWORD}@wandb.example"


class Time:
    """Passes when somebody sleeps, and when the test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.sleeps: list[float] = []

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.seconds += seconds


class Stage:
    """A folder of what the processes to come are to do, and of what they were asked."""

    def __init__(self, folder: Path, *lives: list[Any]) -> None:
        self._folder = folder
        self._lives = 0
        self.time = Time()
        self.chance = 0.0
        (folder / "lives").mkdir()
        for life in lives:
            self.add_life(life)
        os.mkfifo(folder / "may answer")

    @property
    def asked(self) -> list[Any]:
        with suppress(FileNotFoundError):
            lines = (self._folder / "asked").read_text().splitlines()
            return [json.loads(line) for line in lines]
        return []

    def add_life(self, life: list[Any]) -> None:
        self._lives += 1
        (self._folder / "lives" / str(self._lives)).write_text(json.dumps(life))

    async def let_answer(self) -> None:
        await asyncio.to_thread((self._folder / "may answer").write_text, "")

    @asynccontextmanager
    async def open(
        self, *, python: str = sys.executable, **pace: float
    ) -> AsyncIterator[SystemConnection]:
        worker = {**os.environ, "WANDB_BASE_URL": BASE_URL, "WANDB_API_KEY": KEY}
        command = (python, "-c", PROCESS, str(self._folder))
        connection = SystemConnection(
            replace(describe_wandb(worker), command=command),
            pace=ConnectionPace(**{"farewell_seconds": LONG_ENOUGH, **pace}),
            clock=self.time,
            now=self.time.now,
            chance=lambda: self.chance,
            sleep=self.time.sleep,
        )
        try:
            yield connection
        finally:
            await connection.close()


async def ask(
    connection: SystemConnection, *, seconds: float = LONG_ENOUGH, **arguments: Any
) -> Any:
    return await connection.call("look", arguments, deadline_seconds=seconds)


async def fail(connection: SystemConnection, times: int) -> None:
    for _ in range(times):
        with pytest.raises(SystemAway):
            await ask(connection)


async def wait_until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONG_ENOUGH):
        while True:
            if is_so():
                return
            await asyncio.sleep(0.01)
