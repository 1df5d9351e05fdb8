"""Sweeps through the SDK, against the real server, with a worker that is the test itself."""

from collections.abc import Iterator, Sequence

import asktell
import pytest
from asktell.workers import ClaimedAttempt, Ending, WorkerClient

from tests.sdk.clocks import FakeTime
from tests.sdk.servers import ServerProcess

FILE = """
program: train.py
method: random
metric: {name: accuracy, goal: maximize}
parameters:
  lr: {min: 0.1, max: 1.0}
run_cap: 3
"""


class Hand:
    """A worker that launches nothing: the test says what it sees."""

    def __init__(self, client: WorkerClient, queue: str) -> None:
        self.client = client
        self.queue = queue

    def register(self) -> None:
        self.client.register(
            f"id-{self.queue}",
            name="hand",
            host="box",
            queue=self.queue,
            executors=["process"],
            slots=2,
            busy=1,
            version="1",
        )

    def claim(self, count: int = 1) -> Sequence[ClaimedAttempt]:
        return self.client.claim(
            f"id-{self.queue}",
            name="hand",
            host="box",
            queue=self.queue,
            executors=["process"],
            count=count,
        ).attempts

    def end(self, attempt: ClaimedAttempt, *, exit_code: int = 0, value: float = 0.5) -> None:
        self.client.observe(
            attempt.attempt_id,
            claim=attempt.claim,
            state="running",
            points=[(0, value)],
            ending=Ending("exited", exit_code=exit_code, values={"accuracy": value}),
        )


@pytest.fixture
def hand(server: ServerProcess, name: str) -> Iterator[Hand]:
    with WorkerClient(server.url, server.token) as client:
        yield Hand(client, queue=f"queue-{name}")


@pytest.fixture
def sweep(client: asktell.Client, name: str, hand: Hand) -> asktell.Sweep:
    return client.create_sweep(
        {
            "name": name,
            "objectives": [{"name": "accuracy", "direction": "maximize"}],
            "space": {"lr": {"type": "float", "low": 0.1, "high": 1.0}},
            "sampler": {"type": "RandomSampler"},
            "budget": {"max_trials": 2},
            "launch": {"executor": "process", "queue": hand.queue, "program": "train.py"},
        }
    )


def test_runs_to_its_end(sweep: asktell.Sweep, hand: Hand) -> None:
    before = sweep.summary()
    assert (before.state, before.wanted, before.open_attempts) == ("active", 2, 0)
    assert before.waiting_since is not None
    first, second = hand.claim(count=5)
    assert sweep.summary().open_attempts == 2
    hand.end(first, value=0.75)
    hand.end(second, exit_code=1)

    summary = sweep.wait(timeout=0)

    assert (summary.state, summary.is_over, sweep.state) == ("finished", True, "finished")
    assert summary.attempts == {"succeeded": 1, "failed": 1}
    assert summary.study.best == asktell.BestTrial(0, 0.75)
    assert summary.open_attempts == 0
    newest, oldest = sweep.attempts(page_size=1)
    assert (newest.trial, newest.state, newest.exit_code) == (1, "failed", 1)
    assert newest.reason
    assert (oldest.id, oldest.worker, oldest.is_over) == (first.attempt_id, "hand", True)
    assert [each.trial for each in sweep.attempts(["succeeded"])] == [0]
    assert [each.trial for each in sweep.attempts(trial=1)] == [1]
    assert sweep.get_attempt(newest.id) == newest


def test_gives_the_log_in_parts(sweep: asktell.Sweep, hand: Hand) -> None:
    (attempt,) = hand.claim()
    empty = sweep.log(attempt.attempt_id)
    assert (empty.text, empty.end) == ("", 0)
    hand.client.send_log(attempt.attempt_id, claim=attempt.claim, offset=0, data="grüße\n".encode())
    part = sweep.log(attempt.attempt_id)
    assert part == asktell.AttemptLog("grüße\n", 0, 8)
    assert sweep.log(attempt.attempt_id, part.end).text == ""
    with pytest.raises(asktell.NotFoundError) as caught:
        sweep.log(f"{sweep.id}-7-1")
    assert caught.value.code == "attempt-not-found"


def test_changes_state(sweep: asktell.Sweep, hand: Hand) -> None:
    (attempt,) = hand.claim()
    assert sweep.pause().state == "paused"
    assert sweep.resume().state == "active"
    assert sweep.stop().state == "stopping"
    assert sweep.cancel().state == "stopping"
    answer = hand.client.observe(attempt.attempt_id, claim=attempt.claim, state="running")
    assert answer.stop == "cancelled"
    hand.end(attempt)
    assert sweep.state == "cancelled"


def test_waiting_has_a_limit(server: ServerProcess, sweep: asktell.Sweep) -> None:
    time = FakeTime()
    with server.open_client(clock=time.clock) as client:
        patient = client.get_sweep(sweep.name)
        with pytest.raises(TimeoutError, match="is active after 5 s"):
            patient.wait(timeout=5)
    assert time.pauses == [2.0, 2.0]


def test_is_found_and_listed(client: asktell.Client, sweep: asktell.Sweep) -> None:
    found = client.get_sweep(sweep.name)
    assert (found.id, found.launch["program"]) == (sweep.id, "train.py")
    assert found.study.name == sweep.name
    (listed,) = client.list_sweeps(name_contains=sweep.name, state="active")
    assert listed == sweep.summary()
    assert listed.queue == f"queue-{sweep.name}"
    with pytest.raises(asktell.NotFoundError) as caught:
        client.get_sweep("nothing")
    assert caught.value.code == "sweep-not-found"


def test_takes_a_sweep_file(client: asktell.Client, name: str) -> None:
    sweep = client.create_sweep_file(f"queue: none\n{FILE}", "/srv/code", name)
    assert (sweep.name, sweep.launch["directory"]) == (name, "/srv/code")
    assert sweep.study.objectives[0].name == "accuracy"
    assert sweep.summary().study.max_trials == 3


def test_takes_a_sweep_file_whose_trials_are_runs_of_wandb(
    client: asktell.Client, name: str
) -> None:
    text = f"queue: none\n{FILE}"
    sweep = client.create_sweep_file(text, name=name, executor="wandb", project="p", entity="e")
    offline = client.create_sweep_file(text, name=f"{name}-2", executor="wandb", mode="offline")

    assert (sweep.launch["project"], sweep.launch["entity"]) == ("p", "e")
    assert sweep.summary().mirror == asktell.Mirror(None, None, None, None)
    assert (offline.launch["mode"], offline.summary().mirror) == ("offline", None)


def test_a_wrong_sweep_file_is_refused_by_key_and_line(client: asktell.Client, name: str) -> None:
    with pytest.raises(asktell.InvalidError) as caught:
        client.create_sweep_file(FILE.replace("run_cap", "run_cup"), name=name)
    (problem,) = caught.value.errors
    assert problem.field == "run_cup"
    assert "line 7" in problem.message


def test_workers_are_listed(client: asktell.Client, hand: Hand) -> None:
    hand.register()
    (worker,) = [each for each in client.list_workers() if each.queue == hand.queue]
    assert (worker.name, worker.slots, worker.busy, worker.is_away) == ("hand", 2, 1, False)
    assert worker.executors == ("process",)
