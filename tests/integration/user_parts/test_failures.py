"""What breaks in them fails its trial with the reason, and what is killed goes on."""

import asyncio
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
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
from service.domain.errors import CodeFailed, LeaseLost
from service.domain.studies import (
    AttemptEnd,
    Component,
    RetryPolicy,
    StudySettings,
    StudySpec,
)
from service.domain.trials import Outcome, TrialState
from service.domain.user_code import SAMPLER_STATE_ATTR, USER_SAMPLER, Role, UserCode
from service.engine.actor import Actor
from service.engine.ask import Ask, ask
from service.engine.claim import ClaimedAttempt, claim
from service.engine.engine import Engine
from service.engine.observe import observe
from service.engine.replica.user_child import PROGRAM
from service.engine.report import report
from service.engine.tell import tell
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
            study._storage.set_trial_user_attr(study.trials[1]._trial_id, "late", True)
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
    assert "UpdateFinishedTrialError" in reasons[5]
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
    sandbox.describe_containment()  # Starts what its processes come from.
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
    sandbox.describe_containment()  # Starts what its processes come from.
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


SLOW = """
import time

class Slow(optuna.pruners.BasePruner):
    def prune(self, study, trial):
        time.sleep(0.7)
        for each in study.get_trials(deepcopy=False):
            if each.state == optuna.trial.TrialState.RUNNING:
                study._storage.set_trial_system_attr(each._trial_id, "cma:optimizer:0", "80")
        seen = study.get_trials()[trial.number].system_attrs.get("cma:optimizer:0")
        assert seen == "80", "it sees its own names"
        return trial.intermediate_values[trial.last_step] > 1

def pruner():
    return Slow()
"""


async def test_a_decision_is_for_the_attempt_that_reported(engine: Engine) -> None:
    retry = RetryPolicy(max_attempts=2, on=frozenset({AttemptEnd.FAILED}))
    actor = await create(engine, SLOW, space=SPACE, settings=StudySettings(retry=retry))
    await ask(actor, Ask())
    reporting = asyncio.create_task(report(actor, 0, [(1, 3.0)], attempt=1))
    await asyncio.sleep(0.2)
    await tell(actor, 0, Outcome(TrialState.FAIL, attempt=1))
    (again,) = await ask(actor, Ask())
    assert (again.number, again.attempt) == (0, 2)
    with pytest.raises(LeaseLost):
        await reporting
    record = actor.get_record(0)
    assert (record.should_prune, record.decision_step) == (False, None)


async def test_what_ends_while_a_pruner_thinks_is_left_alone(engine: Engine) -> None:
    """And CmaEsSampler, which would unpickle what it finds under its own name, finds nothing."""
    sampler = Component("CmaEsSampler", {"n_startup_trials": 1})
    actor = await create(engine, SLOW, space={"x": SPACE["x"], "y": SPACE["x"]}, sampler=sampler)
    await ask(actor, Ask(count=2))
    reporting = asyncio.create_task(report(actor, 0, [(1, 0.5)]))
    await asyncio.sleep(0.2)
    await tell(actor, 1, Outcome(TrialState.COMPLETE, (1.0,)))
    assert not (await reporting).should_prune
    assert [actor.get_trial(number).system_attrs for number in range(2)] == [
        {"user:cma:optimizer:0": "80"},
        {},
    ]
    await tell(actor, 0, Outcome(TrialState.COMPLETE, (2.0,)))
    await ask(actor, Ask())


async def test_once_told_to_stop_a_trial_stays_so(engine: Engine) -> None:
    actor = await create(engine, SLOW, space=SPACE)
    await ask(actor, Ask())
    reports = [report(actor, 0, [(1, 3.0)]), report(actor, 0, [(2, 0.5)])]
    decisions = await asyncio.gather(*reports)
    assert [each.should_prune for each in decisions] == [True, True]


FORGETS = """
class Forgets(optuna.samplers.RandomSampler):
    def __init__(self):
        super().__init__(seed=1)
        self.heard = []
        self.inner = optuna.samplers.RandomSampler(seed=1)

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def after_trial(self, study, trial, state, values):
        if trial.number == 1:
            raise ValueError("not that one")
        self.heard.append(trial.number)
        study.set_user_attr("heard", list(self.heard))

def sampler():
    return Forgets()
"""


async def test_one_end_that_it_cannot_hear_of_costs_one_trial(engine: Engine) -> None:
    """Also of an object that can be pickled and not be read again."""
    actor = await create(engine, FORGETS, space=SPACE)
    await ask(actor, Ask(count=4))
    for number in range(3):
        await tell(actor, number, Outcome(TrialState.COMPLETE, (1.0,)))
    with pytest.raises(CodeFailed, match=r"Trial 4 is FAIL. .*not that one"):
        await ask(actor, Ask())
    (trial,) = await ask(actor, Ask())
    mirror = actor.begin().mirror
    assert (trial.number, mirror.user_attrs["heard"]) == (5, [2, 4])
    assert mirror.system_attrs.get(SAMPLER_STATE_ATTR) is None


async def test_nothing_of_it_runs_between_questions(engine: Engine, sandbox: Sandbox) -> None:
    sandbox.describe_containment()
    others = set(list_sessions())
    actor = await create(engine, FORGETS, space=SPACE)
    await ask(actor, Ask())
    (session,) = set(list_sessions()) - others
    while read_state(session) != "T":  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0.01)
    await ask(actor, Ask())


def read_state(process: int) -> str:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
