"""Sweeps whose trials are runs, begun while W&B answers and does not want to."""

from collections.abc import Iterator

import pytest

from service.storage.database import Database
from tests.acceptance.wandb_world import PROGRAM, PROJECT, WandbWorld, open_wandb_world

pytestmark = pytest.mark.timeout(300)

ONLINE = {
    "executor": "wandb",
    "program": str(PROGRAM),
    "command": ["${interpreter}", "${program}"],
    "project": PROJECT,
}


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, shared_database: Database
) -> Iterator[WandbWorld]:
    with open_wandb_world(tmp_path_factory.mktemp("world"), shared_database) as opened:
        yield opened


def check_all_in_the_sweep(world: WandbWorld, study: str, *, runs: int) -> None:
    sweep = world.get_sweep(study)["mirror"]["external_ref"]
    found = [run for run in world.backend.runs.values() if run.project == study]
    ends = [(run.state, f"acme/{study}/{run.sweep}") for run in found]
    assert ends == [("finished", sweep)] * runs
    last = world.list_attempts(study)[-1]
    assert (last["state"], last["note"]) == ("succeeded", None)


def test_runs_are_in_the_sweep_once_the_key_is_put_right(world: WandbWorld) -> None:
    right, world.backend.world.api_key = world.backend.api_key, "another" * 6
    environment = {**world.backend.build_environment(), "WANDB_API_KEY": right}
    world.start_worker("ada", queue="keys", environment=environment)
    # No sweep is made for one that starts no more trials.
    two = {"budget": {"max_trials": 2}, "parallelism": 1}
    world.create("keys", {**ONLINE, "queue": "keys", "project": "keys"}, **two)
    world.wait_until(lambda: world.get_sweep("keys")["mirror"]["problem"] is not None)
    world.wait_until(lambda: bool(world.list_attempts("keys")))
    world.stop_worker("ada")

    world.backend.world.api_key = right
    world.start_worker("ada", queue="keys", environment=environment)
    world.wait_over("keys")
    world.stop_worker("ada")

    check_all_in_the_sweep(world, "keys", runs=2)


def test_a_wandb_that_is_asked_too_often_is_waited_for(world: WandbWorld) -> None:
    world.backend.fail("*", [429] * 11)
    world.start_worker("bob", queue="throttled")
    world.create("throttled", {**ONLINE, "queue": "throttled", "project": "throttled"})
    world.wait_over("throttled")
    world.stop_worker("bob")

    check_all_in_the_sweep(world, "throttled", runs=1)
