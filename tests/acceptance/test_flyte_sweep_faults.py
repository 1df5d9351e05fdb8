"""Whoever is killed after whichever step: each attempt is one execution of Flyte, each trial ends.

CHAOS_ROUNDS is how often each is tried; `make chaos` sets it.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.faulty_flyte_worker import BEFORE, FORGETFUL
from tests.acceptance.flyte_world import (
    TOO_LATE,
    build_launch,
    check_once,
    count_executions,
    list_executions,
    open_flyte,
    speak_as,
)
from tests.acceptance.strikes import Point
from tests.acceptance.sweep_world import SweepWorld, Victim, open_sweep_world
from tests.flyte_admin import FlyteAdmin
from tests.flyte_admin.records import ExecutionRecord

pytestmark = pytest.mark.timeout(180)

_ROUNDS = range(int(os.environ.get("CHAOS_ROUNDS", "1")))
# Values on the way come from the tasks.
_POINTS = [point for point in Point if point is not Point.REPORTED]
_BEFORE = [f"{BEFORE}{operation}" for operation in ("launch", "terminate")]
# Of which the server knows.
_TOLD = [Point.CLAIMED, Point.SEEN, Point.ENDED]


@dataclass(frozen=True)
class FlyteSweepWorld:
    """One of each, on one machine, and a stand-in for Flyte."""

    sweeps: SweepWorld
    admin: FlyteAdmin

    def create(self, name: str, **changes: Any) -> None:
        """A sweep of three trials, the second of which is to be pruned."""
        self.sweeps.create(name, launch=build_launch("count"), **changes)

    def list_executions(self, name: str) -> list[ExecutionRecord]:
        return list_executions(self.admin, self.sweeps.get(f"/sweeps/{name}")["sweep"]["id"])

    def list_attempts(self, name: str) -> list[dict[str, Any]]:
        attempts: list[dict[str, Any]] = self.sweeps.get(f"/sweeps/{name}/attempts")["attempts"]
        return attempts

    def check_once(self, name: str) -> None:
        """Each attempt of a sweep was one execution, which has ended and can say nothing more."""
        executions = self.list_executions(name)
        check_once(self.admin, [each["id"] for each in self.list_attempts(name)], executions)
        assert all(speak_as(execution) in TOO_LATE for execution in executions)

    def check(self, name: str, *, n_trials: int = 3) -> None:
        """All of a sweep came as it was to come, at the first attempt."""
        self.check_once(name)
        trials = self.sweeps.get(f"/studies/{name}/trials")["trials"]
        ended = Counter(attempt["state"] for attempt in self.list_attempts(name))
        assert [trial["state"] for trial in trials] == [
            "PRUNED" if number % 2 else "COMPLETE" for number in range(n_trials)
        ]
        assert ended == {"succeeded": (n_trials + 1) // 2, "pruned": n_trials // 2}


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, shared_open_folder: Path
) -> Iterator[FlyteSweepWorld]:
    folder = tmp_path_factory.mktemp("world")
    with (
        open_flyte(folder) as (admin, _),
        open_sweep_world(
            folder,
            shared_open_folder / "p",
            shared_open_folder / "s",
            worker="tests.acceptance.faulty_flyte_worker",
            variables=admin.build_environment(),
        ) as sweeps,
    ):
        yield FlyteSweepWorld(sweeps, admin)


@pytest.mark.parametrize("point", [*_POINTS, *_BEFORE])
@pytest.mark.parametrize("round_", _ROUNDS)
def test_worker_killed_once_at_each_step(world: FlyteSweepWorld, point: str, round_: int) -> None:
    _strike(world, Victim.WORKER, point, round_)


@pytest.mark.parametrize("point", _TOLD)
@pytest.mark.parametrize("round_", _ROUNDS)
def test_server_killed_once_at_each_step(world: FlyteSweepWorld, point: str, round_: int) -> None:
    _strike(world, Victim.SERVER, point, round_)


@pytest.mark.parametrize("round_", _ROUNDS)
def test_postgres_killed_once(world: FlyteSweepWorld, round_: int) -> None:
    _strike(world, Victim.POSTGRES, _TOLD[round_ % len(_TOLD)], round_)


def _strike(world: FlyteSweepWorld, victim: Victim, point: str, round_: int) -> None:
    name = f"{victim}-{point.replace('_', '-')}-{round_}"
    world.sweeps.start_worker()
    world.sweeps.order(victim, point)
    world.create(name)
    died = world.sweeps.wait_over(name)
    world.check(name)
    assert victim is Victim.POSTGRES or died == Counter({victim: 1})


@pytest.mark.parametrize("rpc", ["CreateExecution", "TerminateExecution"])
@pytest.mark.parametrize("round_", _ROUNDS)
def test_worker_killed_while_flyte_answers(world: FlyteSweepWorld, rpc: str, round_: int) -> None:
    name = f"{rpc}-{round_}"
    world.sweeps.start_worker()
    _kill_while_flyte_answers(world, rpc, name)
    world.sweeps.wait_over(name)
    world.check(name)


def test_the_name_is_what_keeps_attempts_from_being_executed_twice(
    world: FlyteSweepWorld,
) -> None:
    world.sweeps.stop_worker()
    world.sweeps.start_worker(FORGETFUL)
    _kill_while_flyte_answers(world, "CreateExecution", "twice", worker=FORGETFUL)
    world.sweeps.wait_over("twice")
    world.sweeps.stop_worker(FORGETFUL)

    assert max(count_executions(world.list_executions("twice")).values()) == 2


def _kill_while_flyte_answers(
    world: FlyteSweepWorld, rpc: str, name: str, *, worker: str = "ada"
) -> None:
    """Once it has done what it was asked for."""
    before = world.admin.calls[rpc]
    world.admin.hang(rpc, when="after")
    world.create(name)
    world.admin.wait_until(lambda: world.admin.calls[rpc] > before)
    world.admin.wait_until(lambda: _is_done(world.list_executions(name), rpc))
    world.sweeps.kill_worker(worker)
    world.admin.recover()
    world.sweeps.start_worker(worker)


def _is_done(executions: list[ExecutionRecord], rpc: str) -> bool:
    if rpc == "CreateExecution":
        return executions != []
    return any(execution.abort_cause for execution in executions)


@pytest.mark.parametrize("round_", _ROUNDS)
def test_two_workers_race_and_one_is_killed(world: FlyteSweepWorld, round_: int) -> None:
    name = f"race-{round_}"
    world.sweeps.start_worker("ada")
    world.sweeps.start_worker("bob")
    world.create(name, budget={"max_trials": 9}, parallelism=4)
    world.admin.wait_until(lambda: len(world.list_executions(name)) >= 4)
    world.sweeps.kill_worker("bob")
    world.sweeps.start_worker("bob")
    world.sweeps.wait_over(name)
    world.check(name, n_trials=9)
    assert {each["worker"] for each in world.list_attempts(name)} == {"ada", "bob"}
    world.sweeps.stop_worker("bob")
