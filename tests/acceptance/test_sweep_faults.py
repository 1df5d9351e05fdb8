"""Whoever is killed after whichever step: every attempt is executed once, every trial ends.

CHAOS_ROUNDS is how often each is tried; `make chaos` sets it.
"""

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.acceptance.strikes import Point
from tests.acceptance.sweep_world import SweepWorld, Victim, open_sweep_world

pytestmark = pytest.mark.timeout(180)

_ROUNDS = range(int(os.environ.get("CHAOS_ROUNDS", "1")))
_COMMITS = (2, 5)


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, shared_open_folder: Path
) -> Iterator[SweepWorld]:
    folder = tmp_path_factory.mktemp("world")
    with open_sweep_world(folder, shared_open_folder / "p", shared_open_folder / "s") as opened:
        yield opened


@pytest.mark.parametrize("victim", Victim)
@pytest.mark.parametrize("point", Point)
@pytest.mark.parametrize("round_", _ROUNDS)
def test_killed_once_at_each_step(
    world: SweepWorld, victim: Victim, point: Point, round_: int
) -> None:
    name = f"{victim}-{point}-{round_}"
    world.start_worker()
    world.create(name)
    # Not before: the worker may still be at the last step of an earlier attempt.
    world.order(victim, point)
    died = world.wait_over(name)
    _check(world, name)
    assert victim is Victim.POSTGRES or died == Counter({victim: 1})


@pytest.mark.parametrize("after", _COMMITS)
@pytest.mark.parametrize("point", ["before-commit", "after-commit"])
@pytest.mark.parametrize("round_", _ROUNDS)
def test_server_killed_amid_a_commit(
    world: SweepWorld, point: str, after: int, round_: int
) -> None:
    name = f"{point}-{after}-{round_}"
    world.start_worker()
    world.create(name, parallelism=1)
    world.server.stop()
    world.dying_server.launch(point, str(after))
    world.dying_server.wait_ready()
    died = world.wait_over(name)
    _check(world, name)
    assert died["server"] == 1


def test_two_workers_race(world: SweepWorld) -> None:
    world.start_worker("ada")
    world.start_worker("bob")
    world.create("race", budget={"max_trials": 9}, parallelism=3)
    world.wait_over("race")
    _check(world, "race", n_trials=9)
    workers = {each["worker"] for each in world.get("/sweeps/race/attempts")["attempts"]}
    assert workers == {"ada", "bob"}
    world.stop_worker("bob")


def test_a_worker_cut_off_for_longer_than_its_lease(world: SweepWorld) -> None:
    world.start_worker("ada")
    budget = {"max_trials": 2}
    world.create("cut", budget=budget, lease_seconds=4, pruner=None, parallelism=1)
    world.wait_executed("cut", 2)
    world.freeze_worker("ada")
    world.start_worker("bob")
    world.wait_executed("cut", 3)
    (_, abandoned, taken_over) = world.read_executions("cut")
    world.thaw_worker("ada")
    world.wait_ended(abandoned)
    states = {each["id"]: each["state"] for each in world.get("/sweeps/cut/attempts")["attempts"]}
    assert states[abandoned.attempt_id] == "lost"
    assert states[taken_over.attempt_id] in ("launching", "running")
    assert taken_over.attempt_id == f"{abandoned.attempt_id[:-1]}2"
    world.cancel("cut")
    world.wait_over("cut")
    world.wait_gone("cut")
    executed = [each.attempt_id for each in world.read_executions("cut")]
    assert len(executed) == len(set(executed)) == 3
    world.stop_worker("bob")


def test_a_server_that_ends_keeps_nobody_waiting(world: SweepWorld) -> None:
    with ThreadPoolExecutor(1) as threads:
        claiming = threads.submit(world.claim_by_hand, wait_seconds=60)
        for _ in range(100):
            # Nothing shows that a claim waits; by so many answers it does.
            world.get("/workers")
        world.server.stop()
        assert claiming.result()["attempts"] == []
    assert world.server.read_errors() == []
    world.server.start()


def _check(world: SweepWorld, name: str, *, n_trials: int = 3) -> None:
    world.wait_gone(name)
    sweep_id = world.get(f"/sweeps/{name}")["sweep"]["id"]
    states = [trial["state"] for trial in world.get(f"/studies/{name}/trials")["trials"]]
    assert states == [("PRUNED" if number % 2 else "COMPLETE") for number in range(n_trials)]
    executed = {execution.attempt_id for execution in world.read_executions(name)}
    assert executed == {f"{sweep_id}-{number}-1" for number in range(n_trials)}
    assert len(world.read_executions(name)) == n_trials
    attempts = world.get(f"/sweeps/{name}/attempts")["attempts"]
    ended = Counter(attempt["state"] for attempt in attempts)
    assert ended == {"succeeded": (n_trials + 1) // 2, "pruned": n_trials // 2}
