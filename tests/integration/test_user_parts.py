"""Samplers, pruners and terminators that users wrote: the same decisions as in plain Optuna."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from service.domain.attempts import (
    AttemptState,
    Ending,
    EndingKind,
    Instruction,
    Observation,
    StopCause,
)
from service.domain.errors import CodeFailed, InvalidParams, StudyFinished
from service.domain.studies import (
    Component,
    Direction,
    Objective,
    StopReason,
    StudySettings,
    StudySpec,
)
from service.domain.trials import AskedTrial, Outcome, TrialState
from service.domain.user_code import USER_SAMPLER, Role, UserCode
from service.engine.actor import Actor
from service.engine.ask import Ask, ask
from service.engine.claim import ClaimedAttempt, claim
from service.engine.create import NewStudy, create_study
from service.engine.engine import Engine, open_engine
from service.engine.observe import observe
from service.engine.replay import replay_study
from service.engine.replica.user_child import PROGRAM
from service.engine.report import report
from service.engine.suggest import suggest
from service.engine.tell import tell
from service.engine.user_code import CodeRunner, open_sandbox
from service.sandbox import Sandbox
from service.sandbox.limits import SESSION_LIMITS
from service.storage.database import Database
from tests.integration.sweep_use import ADA, LAUNCH

# After the sampler of Optuna's documentation: what it keeps is in the object.
WALK = """
import numpy as np
import random

from optuna.samplers import BaseSampler
from optuna.pruners import BasePruner


class RandomWalk(BaseSampler):
    def __init__(self, seed):
        self.rng = np.random.RandomState(seed)
        self.at = {}
        self.ended = []
        self.begun = 0

    def before_trial(self, study, trial):
        self.begun += 1
        study.set_user_attr("begun", self.begun)

    def infer_relative_search_space(self, study, trial):
        return optuna.search_space.intersection_search_space(study.get_trials(deepcopy=False))

    def sample_relative(self, study, trial, search_space):
        best = study.best_trial.params if self.ended else {}
        params = {}
        for name, found in search_space.items():
            if isinstance(found, optuna.distributions.CategoricalDistribution):
                continue
            # No integer for an integer, so Optuna draws that by itself.
            step = self.rng.uniform(-1, 1) * (found.high - found.low) * 0.1
            params[name] = min(max(best.get(name, found.low) + step, found.low), found.high)
        return params

    def sample_independent(self, study, trial, name, distribution):
        self.at[name] = self.at.get(name, 0) + 1
        sampler = optuna.samplers.RandomSampler(seed=self.rng.randint(2**31))
        return sampler.sample_independent(study, trial, name, distribution)

    def after_trial(self, study, trial, state, values):
        self.ended.append(trial.number)
        study.set_user_attr("ended", list(self.ended))
        assert trial.state == optuna.trial.TrialState.RUNNING
        if state == optuna.trial.TrialState.PRUNED:
            self.rng.random_sample()


class EveryThird(BasePruner):
    def __init__(self):
        self.asked = 0

    def prune(self, study, trial):
        self.asked += 1
        study.set_user_attr("asked", self.asked)
        others = [t.intermediate_values.get(trial.last_step, 0.0) for t in study.trials]
        worse = trial.intermediate_values[trial.last_step] > sorted(others)[len(others) // 2]
        return worse and self.asked % 3 == 0


def sampler():
    return RandomWalk(seed=11)


def pruner():
    return EveryThird()
"""
DECLARES = (
    WALK
    + """

def objective(trial):
    trial.suggest_float("x", -5, 5)
    trial.suggest_int("size", 1, 9)
    if trial.suggest_categorical("kind", ["a", "b"]) == "b":
        trial.suggest_int("depth", 1, 9)
"""
)
SPACE = {
    "x": {"type": "float", "low": -5.0, "high": 5.0},
    "kind": {"type": "categorical", "choices": ["a", "b"]},
}
DEPTH = {"type": "int", "low": 1, "high": 9}
N_TRIALS = 25
MINIMIZE = (Objective("value", Direction.MINIMIZE),)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with open_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def quick_sandbox() -> Iterator[Sandbox]:
    limits = replace(SESSION_LIMITS, seconds=2.0)
    with Sandbox(session_limits=limits, programs=[PROGRAM]) as sandbox:
        yield sandbox


@asynccontextmanager
async def running(database: Database, sandbox: Sandbox) -> AsyncIterator[Engine]:
    code_runner = CodeRunner(sandbox, may_be_uncontained=True)
    async with open_engine(database, reap_every_seconds=None, code_runner=code_runner) as engine:
        yield engine


@pytest.fixture
async def engine(database: Database, sandbox: Sandbox) -> AsyncIterator[Engine]:
    async with running(database, sandbox) as engine:
        yield engine


async def create(engine: Engine, source: str, **parts: Any) -> Actor:
    functions = parts.pop("functions", {})
    code = UserCode(source, functions)
    await create_study(engine, NewStudy("s", MINIMIZE, seed=7, user_code=code, **parts))
    return await engine.get_actor("s")


def score(params: Mapping[str, Any], step: int) -> float:
    return float((params["x"] - 1) ** 2 + (params["kind"] == "a") + params.get("depth", 0) / step)


async def live(actor: Actor, n_trials: int) -> list[tuple[dict[str, Any], str]]:
    """One trial after another; returns what each got, and how it ended."""
    lives = []
    for _ in range(n_trials):
        (trial,) = await ask(actor, Ask())
        params = dict(trial.params)
        state = await train(actor, trial)
        lives.append((params, state.name))
    return lives


async def train(actor: Actor, trial: AskedTrial) -> TrialState:
    for step in (1, 2, 3):
        decision = await report(actor, trial.number, [(step, score(trial.params, step))])
        if decision.should_prune:
            await tell(actor, trial.number, Outcome(TrialState.PRUNED))
            return TrialState.PRUNED
    outcome = Outcome(TrialState.COMPLETE, (score(trial.params, 3),))
    await tell(actor, trial.number, outcome)
    return TrialState.COMPLETE


def live_in_optuna(source: str) -> tuple[list[tuple[dict[str, Any], str]], dict[str, Any]]:
    """The same with plain Optuna, and the attributes that the study has then."""
    module: dict[str, Any] = {"optuna": optuna}
    exec(source, module)
    study = optuna.create_study(sampler=module["sampler"](), pruner=module["pruner"]())
    lives = []
    for _ in range(N_TRIALS):
        trial = study.ask()
        if "objective" in module:
            module["objective"](trial)
        else:
            # A declared space is drawn in the order of its names.
            trial.suggest_categorical("kind", ["a", "b"])
            trial.suggest_float("x", -5, 5)
        state = _train_in_optuna(study, trial)
        lives.append((trial.params, state.name))
    return lives, study.user_attrs


def _train_in_optuna(study: optuna.Study, trial: optuna.Trial) -> optuna.trial.TrialState:
    for step in (1, 2, 3):
        trial.report(score(trial.params, step), step)
        if trial.should_prune():
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return optuna.trial.TrialState.PRUNED
    study.tell(trial, score(trial.params, 3))
    return optuna.trial.TrialState.COMPLETE


def find_documented(page: str, about: str) -> str:
    text = (Path(__file__).parents[2] / "docs" / page).read_text()
    (block,) = (b for b in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if about in b)
    return str(block)


DOCUMENTED = find_documented("python-search-spaces.md", "class RandomWalk")


@pytest.mark.parametrize(
    "source", [WALK, DECLARES, DOCUMENTED], ids=["declared", "in Python", "documented"]
)
async def test_a_random_walk_and_a_pruner_decide_as_in_plain_optuna(
    database: Database, sandbox: Sandbox, source: str
) -> None:
    wanted, attrs = live_in_optuna(source)
    space = None if "objective" in source else SPACE
    lives = []
    async with running(database, sandbox) as engine:
        actor = await create(engine, source, space=space)
        lives += await live(actor, 10)
    # Another server, and other processes: the objects go on as they were.
    async with running(database, sandbox) as engine:
        actor = await engine.get_actor("s")
        lives += await live(actor, N_TRIALS - 10)
        (_,) = await ask(actor, Ask())
        stored = dict(actor.begin().mirror.user_attrs)

    assert lives == wanted
    assert {state for _, state in wanted} == {"COMPLETE", "PRUNED"}
    if attrs:
        begun = attrs["begun"] + 1
        assert stored == {**attrs, "begun": begun}
    runner = CodeRunner(sandbox, may_be_uncontained=True)
    replayed = await asyncio.to_thread(replay_study, database, "s", code_runner=runner)
    assert replayed.difference is None
    assert replayed.n_trials == N_TRIALS + 1


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


def list_sessions() -> list[int]:
    """Processes of the sandbox that have started no others, this process's offspring."""
    parents = dict(_list_sealed())
    return [
        process
        for process, parent in parents.items()
        if process not in parents.values() and _is_ours(parent, parents)
    ]


def _list_sealed() -> Iterator[tuple[int, int]]:
    """All of them, with their parents."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            command = (folder / "cmdline").read_bytes()
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            if b"service.sandbox.inside.zygote" in command:
                yield int(folder.name), int(parent)


def _is_ours(process: int, parents: Mapping[int, int]) -> bool:
    while process in parents:
        process = parents[process]
    return process == os.getpid()


async def test_parameters_that_code_declares_as_it_goes(engine: Engine) -> None:
    wanted, _ = live_in_optuna(DECLARES)
    actor = await create(engine, WALK)
    lives = []
    for _ in range(8):
        (trial,) = await ask(actor, Ask())
        params = dict(await suggest(actor, trial.number, {"x": SPACE["x"]}))
        params |= await suggest(actor, trial.number, {"size": DEPTH})
        if trial.number:
            # Refused after the first of two was drawn: nothing of that has happened.
            with pytest.raises(InvalidParams):
                await suggest(actor, trial.number, {"new": SPACE["x"], "kind": DEPTH})
        params |= await suggest(actor, trial.number, {"kind": SPACE["kind"]})
        if params["kind"] == "b":
            params |= await suggest(actor, trial.number, {"depth": DEPTH})
        state = await train(actor, AskedTrial(trial.number, 1, params, None))
        lives.append((params, state.name))
    assert lives == wanted[:8]
    assert actor.begin().mirror.user_attrs["begun"] == 8


TERMINATES = """
import optuna

def best_enough(study):
    done = [t for t in study.get_trials(deepcopy=False) if t.state.is_finished()]
    return len(done) >= 4

def optimize(sweep):
    assert sweep.config["metric"] == {"name": "value", "goal": "minimize"}
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    return study, best_enough
"""


async def test_a_terminator_ends_its_study(engine: Engine, database: Database) -> None:
    functions = {Role.OPTIMIZER: "optimize"}
    actor = await create(engine, TERMINATES, space=SPACE, functions=functions)
    await live(actor, 4)
    with pytest.raises(StudyFinished):
        await ask(actor, Ask())
    assert (actor.count_trials, actor.control.stop_reason) == (4, StopReason.EXHAUSTED)
    assert (await asyncio.to_thread(replay_study, database, "s")).difference is None


UNPICKLABLE = """
import optuna

def sampler():
    return optuna.samplers.TPESampler(seed=5, n_startup_trials=2, gamma=lambda n: max(1, n // 3))
"""


@pytest.mark.filterwarnings("ignore:`gamma` has been deprecated")
async def test_one_with_functions_as_arguments_draws_as_in_plain_optuna(engine: Engine) -> None:
    source = f"{UNPICKLABLE}\ndef pruner():\n    return optuna.pruners.NopPruner()\n"
    wanted, _ = live_in_optuna(source)
    actor = await create(engine, source, space=SPACE)
    assert actor.spec.sampler == Component("UserSampler", {"name": "TPESampler"})
    assert await live(actor, 10) == wanted[:10]


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
