"""Samplers in a process beside the server draw what they draw here, whatever becomes of it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from optuna.trial import FrozenTrial

from service.domain.errors import ProcessUnavailable
from service.domain.studies import Component
from service.engine.replica.child import Child
from service.engine.replica.messages import Accepted, Load, Message
from service.engine.replica.replica import Replica
from service.engine.replica.room import ReplicaRoom, open_room
from tests.integration.replica_use import CONDITIONAL, SPACE, SmallStudy, build_spec

N_TRIALS = 16
LONG, TOO_SHORT = 60.0, 0.01
TPE = Component("TPESampler", {"n_startup_trials": 4})
CASES = {
    "tpe": (TPE, SPACE),
    "tpe-group": (Component("TPESampler", {"n_startup_trials": 4, "group": True}), CONDITIONAL),
    "cma": (Component("CmaEsSampler", {"n_startup_trials": 2, "popsize": 4}), SPACE),
}


start = partial(Child, deadline_seconds=LONG)


@pytest.fixture(scope="module")
def room() -> Iterator[ReplicaRoom]:
    with open_room(2) as opened:
        yield opened


@pytest.mark.parametrize("name", CASES)
def test_draws_and_writes_what_the_same_sampler_does_here(room: ReplicaRoom, name: str) -> None:
    spec = build_spec(*CASES[name])
    replica = Replica(1, spec, room, start=start)
    here, there = SmallStudy(spec), SmallStudy(spec, replica)

    here.live(N_TRIALS)
    there.live(N_TRIALS)

    assert list(there.list_told()) == list(here.list_told())
    assert len({str(params) for params, *_ in here.list_told()}) > N_TRIALS / 2


class WatchedChild(Child):
    """Counts what it is told and asked.

    Attributes:
        n_loads: Studies to begin with.
        most_changes: In one message.
    """

    n_loads = 0
    n_told = 0
    most_changes = 0

    def tell(self, message: Message) -> None:
        self.n_loads += isinstance(message, Load)
        if isinstance(message, Accepted):
            self.most_changes = max(self.most_changes, len(message.mutations))
        super().tell(message)
        self.n_told += 1


class Room:
    """Lets everybody in, and remembers the processes."""

    def __init__(self, *deadlines: float) -> None:
        self._deadlines = iter(deadlines)
        self.children: list[WatchedChild] = []

    def start(self) -> Child:
        child = WatchedChild(deadline_seconds=next(self._deadlines), advice="Wait longer.")
        self.children.append(child)
        return child

    def enter(self, replica: Replica) -> None:
        pass

    def touch(self, replica: Replica) -> None:
        pass

    def leave(self, replica: Replica) -> None:
        pass


@contextmanager
def drawing_beside(room: Room) -> Iterator[SmallStudy]:
    """A study whose next trial has number 8."""
    spec = build_spec(TPE, SPACE)
    replica = Replica(1, spec, room, start=room.start)
    study = SmallStudy(spec, replica)
    study.live(8)
    yield study
    replica.close()
    replica.bury()


@pytest.fixture(scope="module")
def expected() -> FrozenTrial:
    """What that trial has to be."""
    study = SmallStudy(build_spec(TPE, SPACE))
    study.live(8)
    return study.get_trial(study.ask())


def test_a_study_is_read_once_and_heard_of_in_messages_of_a_few_changes_after_that() -> None:
    room = Room(LONG)
    with drawing_beside(room) as study:
        for step in range(300):
            study.report(7, step, 1.0)
        study.ask()
    assert [child.n_loads for child in room.children] == [1]
    assert 0 < room.children[0].most_changes <= 100


def test_one_that_is_killed_in_the_middle_of_a_call_is_replaced(expected: FrozenTrial) -> None:
    room = Room(LONG, LONG)
    with drawing_beside(room) as study, ThreadPoolExecutor(1) as threads:
        # Stopped, so that the call cannot end before.
        os.kill(room.children[0].pid, signal.SIGSTOP)
        n_told = room.children[0].n_told
        asking = threads.submit(study.ask)
        # What has been accepted, that an operation begins, what its draft has, and a call.
        while room.children[0].n_told < n_told + 4:
            time.sleep(0.01)
        os.kill(room.children[0].pid, signal.SIGKILL)
        assert study.get_trial(asking.result()).params == expected.params
    assert [child.n_loads for child in room.children] == [1, 1]


def test_one_that_takes_too_long_is_ended_and_the_next_ask_has_another(
    expected: FrozenTrial,
) -> None:
    room = Room(LONG, LONG)
    with drawing_beside(room) as study:
        os.kill(room.children[0].pid, signal.SIGSTOP)
        room.children[0].deadline_seconds = 0.1
        with pytest.raises(ProcessUnavailable, match=r"did not answer within 0\.1 s.*Wait longer"):
            study.ask()
        assert [is_there(child) for child in room.children] == [False]
        assert study.get_trial(study.ask()).params == expected.params
    assert len(room.children) == 2


def test_the_second_failure_is_told_and_changes_nothing(expected: FrozenTrial) -> None:
    room = Room(LONG, TOO_SHORT, LONG)
    with drawing_beside(room) as study:
        os.kill(room.children[0].pid, signal.SIGKILL)
        before = study.revision
        with pytest.raises(ProcessUnavailable, match=r"it did not answer within 0\.01 s"):
            study.ask()
        assert study.revision == before
        assert study.mirror.counts.total == 8
        assert study.get_trial(study.ask()).params == expected.params
        assert [is_there(child) for child in room.children] == [False, False, True]


def test_nothing_is_imported_from_the_folder_that_the_server_runs_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("import os; os._exit(77)")
    monkeypatch.chdir(tmp_path)
    with drawing_beside(Room(LONG)) as study:
        assert study.mirror.counts.total == 8


def test_one_that_is_idle_ends_until_it_is_needed() -> None:
    spec = build_spec(TPE, SPACE)
    with open_room(1) as room:
        study = SmallStudy(spec, Replica(1, spec, room, start=start))
        study.ask()
        room.end_idle(LONG)
        assert room.list_present() == [study.replica]
        room.end_idle(0.0)
        while room.list_present():
            time.sleep(0.01)
        study.ask()
        assert room.list_present() == [study.replica]


def test_the_least_recently_used_one_makes_room() -> None:
    spec = build_spec(TPE, SPACE)
    with open_room(2) as room:
        replicas = [Replica(1, spec, room, start=start) for _ in range(3)]
        studies = [SmallStudy(spec, replica) for replica in replicas]
        for turn in (0, 1, 0, 2, 1):
            studies[turn].ask()
        assert room.list_present() == [replicas[2], replicas[1]]
        room.refuse()
        with pytest.raises(ProcessUnavailable, match="about to end"):
            studies[1].ask()
    assert room.list_present() == []


def test_one_ends_with_the_process_that_started_it() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", _START_AND_TELL], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until_gone(pid)


_START_AND_TELL = """
import time
from service.engine.replica.child import Child
child = Child(deadline_seconds=60)
print(child.pid, flush=True)
time.sleep(600)
"""


def is_there(child: Child) -> bool:
    return Path(f"/proc/{child.pid}").exists()


def wait_until_gone(pid: int) -> None:
    """Fails by the time limit of a test if it stays; there may be nobody to bury it."""
    with suppress(FileNotFoundError, ProcessLookupError):
        while ") Z " not in Path(f"/proc/{pid}/stat").read_text():
            time.sleep(0.05)
