"""What breaks in them fails its trial with the reason, and what is killed goes on."""

import asyncio
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from service.domain.attempts import (
    AttemptState,
    Ending,
    EndingKind,
    Instruction,
    Observation,
    StopCause,
)
from service.domain.errors import CodeFailed
from service.domain.studies import (
    Component,
    StudySettings,
    StudySpec,
)
from service.domain.user_code import USER_SAMPLER, Role, UserCode
from service.engine.actor import Actor
from service.engine.ask import Ask, ask
from service.engine.claim import ClaimedAttempt, claim
from service.engine.engine import Engine
from service.engine.observe import observe
from service.engine.replica.user_child import PROGRAM
from service.engine.report import report
from service.sandbox import Sandbox
from service.sandbox.limits import SESSION_LIMITS
from service.storage.database import Database
from tests.integration.sweep_use import ADA, LAUNCH
from tests.integration.user_parts.sessions import list_sessions
from tests.integration.user_parts.use import (
    MINIMIZE,
    SPACE,
    WALK,
    create,
    live,
    live_in_optuna,
    running,
)


@pytest.fixture
def quick_sandbox() -> Iterator[Sandbox]:
    limits = replace(SESSION_LIMITS, seconds=2.0)
    with Sandbox(session_limits=limits, programs=[PROGRAM]) as sandbox:
        yield sandbox


BREAKS = """
import os

class Breaks(optuna.samplers.BaseSampler):
    def infer_relative_search_space(self, study, trial):
        return {}

    def sample_relative(self, study, trial, search_space):
        return {}

    def sample_independent(self, study, trial, name, distribution):
        if trial.number == 1:
            raise KeyError(name)
        if trial.number == 2:
            return 7.5
        if trial.number == 3:
            os._exit(3)
        if trial.number == 4:
            while True:
                pass
        if trial.number == 5:
            study._storage.set_study_system_attr(study._study_id, "asktell:exhausted", True)
        if trial.number == 6:
            return float("nan")
        if trial.number == 7:
            study.stop()
        return 0.25

def sampler():
    return Breaks()
"""


async def test_a_sampler_that_breaks_fails_its_trial_with_the_reason(
    database: Database, quick_sandbox: Sandbox
) -> None:
    async with running(database, quick_sandbox) as engine:
        actor = await create(engine, BREAKS, space={"x": SPACE["x"]})
        for number in range(9):
            if number in (0, 8):
                (trial,) = await ask(actor, Ask())
                assert (trial.number, trial.params) == (number, {"x": 0.25})
            else:
                with pytest.raises(CodeFailed, match=f"Trial {number} is FAIL"):
                    await ask(actor, Ask())
    reasons = [actor.get_record(number).reason or "" for number in range(9)]
    assert reasons[1] == "The study's Python: Line 13: KeyError: 'x'."
    assert reasons[2].startswith('The sampler gave 7.5 for "x".')
    assert "exit code 3" in reasons[3]
    assert "did not answer within 2 seconds" in reasons[4]
    assert reasons[5] == 'The attribute "asktell:exhausted" is for the service to set.'
    assert "nan" in reasons[6]
    assert "Study.stop" in reasons[7]
    assert actor.control.stop_reason is None


PRUNER_BREAKS = """
class Breaks(optuna.pruners.BasePruner):
    def prune(self, study, trial):
        if trial.last_step == 2:
            raise RuntimeError("no idea")
        return False

def pruner():
    return Breaks()
"""


async def test_a_pruner_that_breaks_fails_its_trial_with_the_reason(engine: Engine) -> None:
    actor = await create(engine, PRUNER_BREAKS, space=SPACE)
    await ask(actor, Ask(count=2))
    assert not (await report(actor, 0, [(1, 0.5)])).should_prune
    with pytest.raises(CodeFailed, match=r"Trial 0 is FAIL. .*Line 5: RuntimeError: no idea"):
        await report(actor, 0, [(2, 0.5)])
    assert actor.get_trial(0).state.name == "FAIL"
    assert (await report(actor, 1, [(1, 0.5)])).step == 1


async def test_a_killed_process_goes_on_with_the_same_walk(
    database: Database, sandbox: Sandbox
) -> None:
    wanted, _ = live_in_optuna(WALK)
    assert sandbox.is_contained in (True, False)
    others = set(list_sessions())
    async with running(database, sandbox) as engine:
        actor = await create(engine, WALK, space=SPACE)
        lives = await live(actor, 4)
        sessions = set(list_sessions()) - others
        for process in sessions:
            os.kill(process, signal.SIGKILL)
        lives += await live(actor, 4)
    assert len(sessions) == 2
    assert lives == wanted[:8]


SLEEPS = """
import time

def sampler():
    time.sleep(600)
"""


async def test_one_that_is_killed_each_time_fails_its_trial(
    engine: Engine, sandbox: Sandbox
) -> None:
    """So that a file which takes all memory does not stop its study for ever."""
    code = UserCode(SLEEPS, {Role.SAMPLER: "sampler"})
    spec = StudySpec(
        "s", MINIMIZE, SPACE, Component(USER_SAMPLER, {"name": "S"}), None, 7, user_code=code
    )
    await engine.studies.insert(spec, StudySettings(), None)
    assert sandbox.is_contained in (True, False)
    others = set(list_sessions())
    asking = asyncio.create_task(ask(await engine.get_actor("s"), Ask()))
    for _ in range(2):
        while not (sessions := set(list_sessions()) - others):  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.05)
        # Before it has said that it is ready, its end is nobody's fault.
        await asyncio.sleep(1.0)
        (session,) = sessions
        os.kill(session, signal.SIGKILL)
        others.add(session)
    with pytest.raises(CodeFailed, match=r"Trial 0 is FAIL\. .*SIGKILL"):
        await asking


THRESHOLD = """
class Above(optuna.pruners.BasePruner):
    def prune(self, study, trial):
        study.set_user_attr("asked", study.user_attrs.get("asked", 0) + 1)
        value = trial.intermediate_values[trial.last_step]
        if value < 0:
            raise ValueError("no such thing")
        return value > 1

def pruner():
    return Above()
"""


async def test_a_worker_hears_what_the_pruner_says(engine: Engine) -> None:
    """Points that it saw together are judged one by one; those after the decision are dropped."""
    actor = await create(engine, THRESHOLD, space=SPACE, launch=LAUNCH)
    pruned, failed = await claim(actor, ADA, 2)
    points = ((1, 0.5), (2, 3.0), (3, 0.5))
    assert (await see(actor, pruned, points=points)).stop is StopCause.PRUNED
    assert actor.get_trial(0).intermediate_values == {1: 0.5, 2: 3.0}
    ending = Ending(EndingKind.EXITED, 0, values={"value": 0.5})
    assert (await see(actor, pruned, ending=ending)).is_over
    assert actor.get_trial(0).state.name == "PRUNED"

    assert (await see(actor, failed, points=((1, -1.0),))).stop is StopCause.OVER
    assert actor.get_trial(1).state.name == "FAIL"
    assert "no such thing" in (actor.get_record(1).reason or "")


async def see(actor: Actor, attempt: ClaimedAttempt, **given: Any) -> Instruction:
    launch = attempt.launch
    seen = Observation(launch.attempt, launch.claim, AttemptState.RUNNING, **given)
    return await observe(actor, launch.number, seen)


async def test_a_report_that_was_stored_without_a_decision_gets_it_when_repeated(
    engine: Engine,
) -> None:
    actor = await create(engine, THRESHOLD, space=SPACE)
    await ask(actor, Ask())
    await report(actor, 0, [(1, 0.5)])
    reporting = asyncio.create_task(report(actor, 0, [(2, 3.0)]))
    await asyncio.sleep(0)
    assert 2 in actor.get_trial(0).intermediate_values
    reporting.cancel()
    assert actor.get_record(0).decision_step == 1

    for _ in range(2):
        assert (await report(actor, 0, [(2, 3.0)])).should_prune
    assert actor.get_record(0).decision_step == 2
    # The one that was cancelled asked, too, and nobody heard it.
    assert actor.begin().mirror.user_attrs["asked"] == 2
