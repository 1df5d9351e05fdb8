"""GPSampler: in a process beside the server, which neither waits for it nor imports torch."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from service.domain.errors import ProcessUnavailable
from service.domain.studies import Component, Direction, Objective
from service.domain.trials import Outcome, TrialState
from service.domain.user_code import Role, UserCode
from service.engine.actor import Actor
from service.engine.ask import Ask, ask
from service.engine.create import create_study
from service.engine.engine import Engine, open_engine
from service.engine.heartbeat import heartbeat
from service.engine.report import report
from service.engine.tell import tell
from service.engine.user_code import bind_code
from service.sandbox import FileFailed, Sandbox, SandboxLimits
from service.storage.database import Database
from tests.integration.engine_use import new_study
from tests.integration.replica_use import SPACE, build_spec

pytestmark = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")

GP = Component("GPSampler", {"n_startup_trials": 3})
TWO = (Objective("a", Direction.MINIMIZE), Objective("b", Direction.MAXIMIZE))


async def test_a_study_goes_on_while_it_draws_and_repeats(
    engine: Engine, database: Database
) -> None:
    await create_study(engine, new_study(sampler=GP))
    actor = await engine.get_actor("s")
    for _ in range(4):
        await run_trial(actor)
    await asyncio.gather(*(ask(actor, Ask()) for _ in range(2)))
    (process,) = list_processes()

    os.kill(process, signal.SIGSTOP)
    asking = asyncio.create_task(ask(actor, Ask()))
    await report(actor, 4, [(0, 1.0)])
    await heartbeat(actor, 5)
    await tell(actor, 4, Outcome(TrialState.COMPLETE, (1.0,)))
    assert not asking.done()
    os.kill(process, signal.SIGKILL)

    (trial,) = await asking
    assert trial.number == 6
    # With the model of three trials and more, knowing those that run.
    noted = [bool(actor.get_trial(number).system_attrs) for number in range(7)]
    assert noted == [False, False, False, True, True, True, True]
    assert len({str(actor.get_trial(number).params) for number in range(7)}) == 7
    assert "torch" not in sys.modules
    await check_repeats(database)


async def test_several_objectives_until_the_study_is_removed(engine: Engine) -> None:
    await create_study(engine, new_study(sampler=GP, objectives=TWO))
    actor = await engine.get_actor("s")
    for number in range(4):
        await ask(actor, Ask())
        await tell(actor, number, Outcome(TrialState.COMPLETE, (1.0 * number, 2.0 * number)))
    assert actor.get_trial(3).system_attrs
    assert len(list_processes()) == 1
    async with engine.removing("s"):
        while list_processes():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.05)


async def test_a_draw_that_takes_too_long_is_refused_and_says_which_setting(
    database: Database,
) -> None:
    async with open_engine(database, sampler_timeout_seconds=0.01) as engine:
        await create_study(engine, new_study(sampler=GP))
        with pytest.raises(ProcessUnavailable, match="Raise ASKTELL_SAMPLER_TIMEOUT_SECONDS, or"):
            await ask(await engine.get_actor("s"), Ask())


@pytest.mark.parametrize("sampler", [GP, Component("RandomSampler")])
def test_that_it_is_slow_does_not_fail_the_trial_of_a_python_space(sampler: Component) -> None:
    spec = build_spec(sampler, SPACE)
    source = "def objective(trial):\n    for n in range(9): trial.suggest_float(f'x{n}', 0, 1)"
    code = UserCode(source, {Role.OBJECTIVE: "objective"})
    with Sandbox(SandboxLimits(seconds=60, total_seconds=0.1)) as sandbox:
        declare = bind_code(sandbox, code, spec)
        if sampler is GP:
            assert len(declare(0, suggest_slowly, {}).params) == 9
        else:
            with pytest.raises(FileFailed, match=r"more than 0\.1 seconds, with its suggestions"):
                declare(0, suggest_slowly, {})


def suggest_slowly(_name: str, _document: Mapping[str, Any]) -> float:
    time.sleep(0.05)
    return 0.5


async def run_trial(actor: Actor) -> None:
    (trial,) = await ask(actor, Ask())
    params = trial.params
    await tell(actor, trial.number, Outcome(TrialState.COMPLETE, (params["x"] + params["n"],)))


async def check_repeats(database: Database) -> None:
    """In a process of its own, which has torch."""
    environment = {**os.environ, "ASKTELL_DATABASE_URL": database.url}
    command = [sys.executable, "-m", "service.cli.main", "study", "replay", "s", "--json"]
    replayed = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True
    )
    assert json.loads(replayed.stdout) == {
        "study": "s",
        "trials": 7,
        "values": 21,
        "difference": None,
    }, replayed.stderr


def list_processes() -> list[int]:
    """Replicas that this process has started, by their ids."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if b"service.engine.replica.process" in command and int(parent) == os.getpid():
            found.append(int(folder.name))
    return found
