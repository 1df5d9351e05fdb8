"""Sweeps on W&B that mirror ours: the real SDK in the worker's other process."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from service.domain.mirrors import MirrorState
from service.schedulers.executors.connection.connection import SystemConnection
from service.schedulers.executors.mirrors import MirrorAway, MirrorRefused
from service.schedulers.executors.wandb.connection.system import describe_wandb
from service.schedulers.executors.wandb.sweeps.mirror import WandbMirror
from service.schedulers.executors.wandb.sweeps.sweep_config import build_sweep_config
from tests.unit.test_wandb_sweep_config import WANTED
from tests.wandb_backend import Backend
from tests.wandb_backend.sweep_records import SweepRecord

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def mirror(backend: Backend, wandb_environment: dict[str, str]) -> AsyncIterator[WandbMirror]:
    connection = SystemConnection(describe_wandb(wandb_environment))
    yield WandbMirror(connection, wandb_environment)
    await connection.close()


def list_sweeps(backend: Backend, project: str) -> list[SweepRecord]:
    return [sweep for sweep in backend.sweeps.values() if sweep.project == project]


def place(project: str, **changes: Any) -> Any:
    return replace(WANTED, arguments={"program": "train.py", "project": project}, **changes)


async def test_one_sweep_is_made_however_often_it_is_asked_for(
    backend: Backend, mirror: WandbMirror
) -> None:
    space = {"version": {"value": "008"}, "eps": 1e-5, "opt": {"lr": {"value": "1e-5"}}}
    wanted = place("once", space=space)
    made = await mirror.create(wanted)
    # Another worker asks, as the first one died before it told.
    assert await mirror.create(wanted) == made
    other = await mirror.create(replace(wanted, sweep_id="another0", study="letters"))
    assert other.external_ref != made.external_ref
    sweep = backend.sweeps[made.external_ref]
    assert made.url == f"{backend.url}/acme/once/sweeps/{sweep.name}"
    assert sweep.config == build_sweep_config(wanted)
    assert sweep.description == sweep.config["description"]
    assert sweep.state == "RUNNING"
    assert len(list_sweeps(backend, "once")) == 2


async def test_a_lost_answer_leaves_one_sweep(backend: Backend, mirror: WandbMirror) -> None:
    # wandb-core asks again by itself, and W&B makes another.
    backend.lose("UpsertSweep")
    made = await mirror.create(place("lost"))
    states = {sweep.path: sweep.state for sweep in list_sweeps(backend, "lost")}
    assert states.pop(made.external_ref) == "RUNNING"
    assert list(states.values()) == ["CANCELED"]
    assert await mirror.create(place("lost")) == made
    # Nobody hears of these, until one looks for them.
    backend.lose("UpsertSweep", 2)
    with pytest.raises(MirrorAway):
        await mirror.create(place("lost", sweep_id="another0"))
    other = await mirror.create(place("lost", sweep_id="another0"))
    running = [sweep.path for sweep in list_sweeps(backend, "lost") if sweep.state == "RUNNING"]
    assert sorted(running) == sorted([made.external_ref, other.external_ref])


async def test_another_one_is_made_for_what_was_deleted_though_a_double_was_cancelled(
    backend: Backend, mirror: WandbMirror
) -> None:
    backend.lose("UpsertSweep")
    made = await mirror.create(place("doubled"))
    with backend.world.lock:
        del backend.world.sweeps[made.external_ref]
    (double,) = list_sweeps(backend, "doubled")

    another = await mirror.create(place("doubled"))

    assert another.external_ref not in (made.external_ref, double.path)
    assert await mirror.look([another.external_ref]) == {another.external_ref: MirrorState.RUNNING}
    assert await mirror.create(place("doubled")) == another
    assert double.state == "CANCELED"


async def test_what_has_ended_counts_only_if_there_is_no_other(
    backend: Backend, mirror: WandbMirror
) -> None:
    ended = await mirror.create(place("ended"))
    backend.stop_sweep(ended.external_ref)
    # A person has stopped it before anybody here was told of it.
    assert await mirror.create(place("ended")) == ended
    younger = replace(backend.sweeps[ended.external_ref], name="younger0", state="RUNNING")
    with backend.world.lock:
        backend.world.sweeps[younger.path] = younger

    assert (await mirror.create(place("ended"))).external_ref == younger.path
    assert backend.sweeps[ended.external_ref].state == "FINISHED"


async def test_states_go_both_ways(backend: Backend, mirror: WandbMirror) -> None:
    made = [await mirror.create(place("states", sweep_id=f"sweep{i}")) for i in range(4)]
    refs = [each.external_ref for each in made]
    assert set((await mirror.look(refs)).values()) == {MirrorState.RUNNING}
    for ref, state, word in (
        (refs[0], MirrorState.PAUSED, "PAUSED"),
        (refs[0], MirrorState.RUNNING, "RUNNING"),
        (refs[1], MirrorState.FINISHED, "FINISHED"),
        (refs[2], MirrorState.CANCELLED, "CANCELED"),
    ):
        await mirror.set_state(ref, state)
        assert backend.sweeps[ref].state == word
    before = backend.requests
    states = await mirror.look(refs)
    assert backend.requests["GetSweeps"] - before["GetSweeps"] == 1
    assert backend.requests["GetSweepState"] == before["GetSweepState"]
    assert states == {
        refs[0]: MirrorState.RUNNING,
        refs[1]: MirrorState.FINISHED,
        refs[2]: MirrorState.CANCELLED,
        refs[3]: MirrorState.RUNNING,
    }
    # What it is already is not set again, and what W&B refuses is told.
    changes = backend.requests["UpsertSweepState"]
    await mirror.set_state(refs[2], MirrorState.CANCELLED)
    assert backend.requests["UpsertSweepState"] == changes
    with pytest.raises(MirrorRefused, match="stays canceled"):
        await mirror.set_state(refs[2], MirrorState.RUNNING)


async def test_people_change_and_delete_sweeps(backend: Backend, mirror: WandbMirror) -> None:
    made = [await mirror.create(place("people", sweep_id=f"sweep{i}")) for i in range(2)]
    paused, deleted = (each.external_ref for each in made)
    with backend.world.lock:
        backend.world.sweeps[paused].state = "PAUSED"
        del backend.world.sweeps[deleted]
    assert await mirror.look([deleted]) == {deleted: None}
    assert await mirror.look([paused, deleted]) == {paused: MirrorState.PAUSED, deleted: None}
    await mirror.set_state(deleted, MirrorState.FINISHED)
    # W&B says no more of a project that the key may not see.
    looks = await mirror.look([paused, "acme/nowhere/x1"])
    assert looks[paused] is MirrorState.PAUSED
    assert "acme/nowhere" in str(looks["acme/nowhere/x1"])
    assert isinstance(looks["acme/nowhere/x1"], MirrorRefused)


async def test_wandb_is_away_and_back(backend: Backend, mirror: WandbMirror) -> None:
    backend.go_down()
    with pytest.raises(MirrorAway):
        await mirror.create(place("away"))
    backend.come_back()
    made = await mirror.create(place("away"))
    assert [sweep.path for sweep in list_sweeps(backend, "away")] == [made.external_ref]


async def test_a_wrong_key_is_refused(backend: Backend, wandb_environment: dict[str, str]) -> None:
    environment = wandb_environment | {"WANDB_API_KEY": "another-made-up-key-of-forty-characters0"}
    connection = SystemConnection(describe_wandb(environment))
    with pytest.raises(MirrorRefused):
        await WandbMirror(connection, environment).create(place("refused"))
    await connection.close()


async def test_a_long_list_is_read_to_its_end(backend: Backend, mirror: WandbMirror) -> None:
    made = await mirror.create(place("long"))
    with backend.world.lock:
        # The oldest come first here, and ours is the last.
        mine = backend.world.sweeps.pop(made.external_ref)
        for number in range(120):
            name = f"x{number:07d}"
            backend.world.sweeps[f"acme/long/{name}"] = replace(
                mine, name=name, config={"method": "random"}, description=None
            )
        backend.world.sweeps[made.external_ref] = mine
    assert await mirror.create(place("long")) == made
