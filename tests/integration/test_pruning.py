"""Pruners decide once per report, the same however reports arrive and whoever serves them."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import optuna
import pytest

from service.domain.studies import AttemptEnd, Component, RetryMode, RetryPolicy, StudySettings
from service.domain.trials import Decision, Outcome, TrialState
from service.engine.actor import Actor
from service.engine.ask import Ask, ask
from service.engine.create import create_study
from service.engine.delete import delete_study
from service.engine.engine import Engine, open_engine
from service.engine.expire import expire
from service.engine.heartbeat import heartbeat
from service.engine.prune import decide
from service.engine.report import report
from service.engine.tell import tell
from service.pruners import build_pruner, resolve_pruner
from service.storage.database import Database
from tests.integration.engine_use import new_study
from tests.plain_optuna import open_rdb_storage

HALVING = {"type": "SuccessiveHalvingPruner", "args": {"min_resource": 1, "reduction_factor": 2}}
PRUNERS = {
    "median": Component("MedianPruner", {"n_startup_trials": 1}),
    "threshold": Component("ThresholdPruner", {"upper": 5.5}),
    "patient": Component("PatientPruner", {"patience": 1}),
    "patient-halving": Component("PatientPruner", {"patience": 0, "wrapped_pruner": HALVING}),
    "wilcoxon": Component("WilcoxonPruner", {"p_threshold": 0.4, "n_startup_steps": 1}),
    "halving": Component("SuccessiveHalvingPruner", HALVING["args"]),
    "halving-auto": Component("SuccessiveHalvingPruner", {"reduction_factor": 2}),
    "hyperband": Component("HyperbandPruner", {"max_resource": 9, "reduction_factor": 2}),
    "wandb-hyperband": Component("WandbHyperbandPruner", {"min_iter": 1, "eta": 2}),
    "hyperband-auto": Component("HyperbandPruner", {"reduction_factor": 2}),
}
N_TRIALS, N_STEPS = 8, 9
GROUP = 3  # Steps that the decisions are compared after.

Send = Callable[[Actor, int, Sequence[tuple[int, float]]], Awaitable[Decision]]


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def open_standing(database: Database) -> AbstractAsyncContextManager[Engine]:
    """An engine without passing time: no answer differs by when it was given."""
    return open_engine(database, clock=Clock(), reap_every_seconds=None)


async def send_singly(actor: Actor, number: int, points: Sequence[tuple[int, float]]) -> Decision:
    decisions = [await report(actor, number, [point]) for point in points]
    return decisions[-1]


async def send_together(actor: Actor, number: int, points: Sequence[tuple[int, float]]) -> Decision:
    return await report(actor, number, list(reversed(points)))


async def send_again(actor: Actor, number: int, points: Sequence[tuple[int, float]]) -> Decision:
    """Asks and repeats after every report, as clients do whose answers get lost."""
    for index, point in enumerate(points):
        first = await report(actor, number, [point])
        assert await decide(actor, number) == first
        assert await report(actor, number, [point]) == first
        assert await heartbeat(actor, number) == first
        assert await report(actor, number, points[: index + 1]) == first
    return await decide(actor, number)


def loss(number: int, step: int) -> float:
    return (number * 5) % N_TRIALS + (step * (number + 3)) % 4 / 2 - step / 8


async def run(
    database: Database, pruner: Component, send: Send, *, n_engines: int = 1
) -> tuple[list[bool], list[dict[str, Any]]]:
    """Runs trials beside one another; returns what was decided about each group of steps.

    Hyperband's brackets depend on the study's name, so every run is of a study of the same name.
    """
    decisions: list[bool] = []
    for part in range(n_engines):
        async with open_standing(database) as engine:
            if part == 0:
                await create_study(engine, new_study(pruner=pruner))
                await complete_first(await engine.get_actor("s"), send)
            actor = await engine.get_actor("s")
            for first in range(part * GROUP, N_STEPS, n_engines * GROUP):
                decisions += await report_group(actor, send, first)
    async with open_standing(database) as engine:
        actor = await engine.get_actor("s")
        noted = [actor.get_trial(number).system_attrs for number in range(1, N_TRIALS)]
        await delete_study(engine, "s")
    return decisions, noted


async def complete_first(actor: Actor, send: Send) -> None:
    """One trial goes all the way first: some pruners compare with complete ones only."""
    await ask(actor, Ask(count=N_TRIALS))
    for first in range(0, N_STEPS, GROUP):
        await send(actor, 0, [(step, 3.0 - step / 8) for step in range(first, first + GROUP)])
    await tell(actor, 0, Outcome(TrialState.COMPLETE, (2.0,)))


async def report_group(actor: Actor, send: Send, first: int) -> list[bool]:
    decisions = []
    for number in range(1, N_TRIALS):
        points = [(step, loss(number, step)) for step in range(first, first + GROUP)]
        decision = await send(actor, number, points)
        assert decision.step == first + GROUP - 1
        # Optuna's pruners answer with numpy's bool, which no JSON writer takes.
        assert type(decision.should_prune) is bool
        decisions.append(decision.should_prune)
    return decisions


def run_plain_optuna(pruner: Component) -> list[bool]:
    study = optuna.create_study(study_name="s", pruner=build_pruner(pruner))
    trials = [study.ask() for _ in range(N_TRIALS)]
    for step in range(N_STEPS):
        trials[0].report(3.0 - step / 8, step)
        trials[0].should_prune()
    study.tell(trials[0], 2.0)
    decided = dict.fromkeys(range(1, N_TRIALS), False)
    decisions = []
    for first in range(0, N_STEPS, GROUP):
        for number in decided:
            for step in range(first, first + GROUP):
                trials[number].report(loss(number, step), step)
                decided[number] = decided[number] or bool(trials[number].should_prune())
            decisions.append(decided[number])
    return decisions


@pytest.mark.parametrize("name", PRUNERS)
async def test_decisions_are_optunas_however_reports_arrive(database: Database, name: str) -> None:
    pruner = resolve_pruner(PRUNERS[name], n_objectives=1)
    decisions, noted = await run(database, pruner, send_singly)
    assert decisions == run_plain_optuna(pruner)
    assert {True, False} <= set(decisions)
    assert await run(database, pruner, send_together) == (decisions, noted)
    assert await run(database, pruner, send_again, n_engines=3) == (decisions, noted)


@pytest.mark.parametrize(
    ("name", "argument", "resource"),
    [("halving-auto", "min_resource", 1), ("hyperband-auto", "max_resource", 2)],
)
async def test_auto_resources_stay_what_they_were_first(
    database: Database, name: str, argument: str, resource: int
) -> None:
    for part in range(2):
        async with open_engine(database) as engine:
            if part == 0:
                await create_study(engine, new_study(pruner=PRUNERS[name]))
            actor = await engine.get_actor("s")
            for last_step in (1, 700):
                (asked,) = await ask(actor, Ask())
                await report(actor, asked.number, [(0, 1.0), (last_step, 1.0)])
                await tell(actor, asked.number, Outcome(TrialState.COMPLETE, (1.0,)))
            (asked,) = await ask(actor, Ask())
            await report(actor, asked.number, [(0, 1.0)])
            assert actor.pruner_component is not None
            assert actor.pruner_component.args[argument] == resource


async def lose_an_attempt(actor: Actor, clock: Clock, points: Sequence[tuple[int, float]]) -> None:
    """Trial 0 does well to the end, trial 1 reports, is lost, and is handed out again."""
    await ask(actor, Ask(count=2, lease_seconds=60))
    await report(actor, 0, [(step, 0.0) for step in range(20)])
    await tell(actor, 0, Outcome(TrialState.COMPLETE, (0.0,)))
    await report(actor, 1, points)
    clock.move(61)
    await expire(actor)
    (again,) = await ask(actor, Ask())
    assert (again.number, again.attempt) == (1, 2)


def settings(mode: RetryMode) -> StudySettings:
    return StudySettings(retry=RetryPolicy(on=frozenset({AttemptEnd.LOST}), mode=mode))


@pytest.mark.parametrize("name", ["median", "halving", "hyperband"])
async def test_a_second_attempt_is_not_judged_by_the_first(database: Database, name: str) -> None:
    clock = Clock()
    async with open_engine(database, clock=clock, reap_every_seconds=None) as engine:
        given = new_study(pruner=PRUNERS[name], settings=settings(RetryMode.RESTART))
        await create_study(engine, given)
        actor = await engine.get_actor("s")
        await lose_an_attempt(actor, clock, [(step, 0.0) for step in range(15)])
        kept = actor.get_trial(1)
        assert kept.intermediate_values == {}
        assert not [key for key in kept.system_attrs if key.startswith("completed_rung_")]
        assert (await decide(actor, 1)).step is None
        bad = [(step, 99.0) for step in range(9)]
        assert (await report(actor, 1, bad)).should_prune
        ended = await tell(actor, 1, Outcome(TrialState.PRUNED))
        assert ended.values == (99.0,)
    with open_rdb_storage(database) as storage:
        seen = optuna.load_study(study_name="s", storage=storage).trials[1]
    assert seen.intermediate_values == dict(bad)


async def test_an_attempt_that_resumes_keeps_its_reports(database: Database) -> None:
    clock = Clock()
    async with open_engine(database, clock=clock, reap_every_seconds=None) as engine:
        given = new_study(pruner=PRUNERS["halving"], settings=settings(RetryMode.RESUME))
        await create_study(engine, given)
        actor = await engine.get_actor("s")
        await lose_an_attempt(actor, clock, [(step, 0.0) for step in range(5)])
        kept = actor.get_trial(1)
        assert list(kept.intermediate_values) == [0, 1, 2, 3, 4]
        assert [key for key in kept.system_attrs if key.startswith("completed_rung_")]
        assert (await decide(actor, 1)).step == 4


async def test_a_pruned_trial_has_no_value_where_its_last_report_has_none(
    engine: Engine,
) -> None:
    await create_study(engine, new_study())
    actor = await engine.get_actor("s")
    await ask(actor, Ask())
    await report(actor, 0, [(0, 1.0), (1, float("nan"))])
    outcome = Outcome(TrialState.PRUNED)
    ended = await tell(actor, 0, outcome)
    assert ended.values is None
    assert await tell(actor, 0, outcome) == ended
