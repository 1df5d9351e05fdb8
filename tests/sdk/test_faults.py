"""Lost answers, killed servers and forks: nothing is done twice, nothing gets lost."""

import os
import subprocess
import sys
import threading
from typing import Any

import asktell
import pytest

from tests.sdk.servers import LossyProxy, ServerProcess

FORKING_PROGRAM = """
import os, signal, sys, threading, warnings
import asktell

signal.alarm(60)
# Python 3.12 warns of a fork beside other threads, such as the one for the heartbeats.
warnings.simplefilter("ignore", DeprecationWarning)
study = asktell.Client().create_study(sys.argv[1], sampler={"type": "RandomSampler"})
study.ask().tell(0.0)

# Another thread may hold the connection's lock at the moment of the fork.
study._connection._lock.acquire()
children = []
for _ in range(4):
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        try:
            for trial in [study.ask() for _ in range(5)]:
                trial.tell(trial.suggest_float("x", 0, 1))
        except BaseException:
            os._exit(1)
        os._exit(0)
    children.append(pid)
study._connection._lock.release()
for _ in range(5):
    study.ask().tell(0.0)
assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
assert [trial.number for trial in study.trials] == list(range(26))
assert {trial.state.name for trial in study.trials} == {"COMPLETE"}
"""


@pytest.fixture
def lossy_study(server: ServerProcess, proxy: LossyProxy, name: str) -> Any:
    """A study seen through the proxy, while nothing is lost yet."""
    with asktell.Client(proxy.url, server.token) as client:
        yield client.create_study(name, pruner={"type": "ThresholdPruner", "args": {"upper": 1.0}})


def test_an_ask_whose_answer_got_lost_is_not_doubled(
    lossy_study: asktell.Study, proxy: LossyProxy
) -> None:
    proxy.lose_answers(2)
    trials = lossy_study.ask(3)
    assert proxy.lost_answers == 2
    assert [trial.number for trial in trials] == [0, 1, 2]
    assert lossy_study.summary().counts.total == 3


def test_a_suggestion_whose_answer_got_lost_stays_the_same(
    lossy_study: asktell.Study, proxy: LossyProxy
) -> None:
    trial = lossy_study.ask()
    proxy.lose_answers(1)
    x = trial.suggest_float("x", 0, 1)
    assert proxy.lost_answers == 1
    assert lossy_study.get_trial(0).params == {"x": x}


def test_a_decision_whose_answer_got_lost_stays_the_same(
    lossy_study: asktell.Study, proxy: LossyProxy
) -> None:
    trial = lossy_study.ask()
    proxy.lose_answers(2)
    trial.report(5.0, 0)
    assert proxy.lost_answers == 2
    assert trial.should_prune() is True


def test_a_tell_whose_answer_got_lost_is_recognised(
    lossy_study: asktell.Study, proxy: LossyProxy
) -> None:
    trial = lossy_study.ask()
    trial.set_user_attr("note", {"pi": 3.14159})
    proxy.lose_answers(2)
    told = trial.tell(1 / 3)
    assert proxy.lost_answers == 2
    assert told.values == [1 / 3]
    assert told.user_attrs == {"note": {"pi": 3.14159}}


def test_a_create_whose_answer_got_lost_gives_the_study(
    server: ServerProcess, proxy: LossyProxy, name: str
) -> None:
    with asktell.Client(proxy.url, server.token) as client:
        proxy.lose_answers(1)
        study = client.create_study(name, direction="maximize", user_attrs={"a": 1})
        assert proxy.lost_answers == 1
        assert study.direction.name == "MAXIMIZE"


def test_a_delete_whose_answer_got_lost_is_a_success(
    server: ServerProcess, client: asktell.Client, proxy: LossyProxy, study: asktell.Study
) -> None:
    with asktell.Client(proxy.url, server.token) as lossy:
        proxy.lose_answers(1)
        lossy.delete_study(study.name)
        assert proxy.lost_answers == 1
    with pytest.raises(asktell.NotFoundError):
        client.get_study(study.name)


def test_a_server_that_is_not_there_is_an_error_that_says_so(server: ServerProcess) -> None:
    with (
        asktell.Client("http://127.0.0.1:9", server.token, max_retries=0) as client,
        pytest.raises(asktell.ApiConnectionError, match="Is the server running"),
    ):
        client.get_study("any")


def test_an_optimization_survives_a_killed_server(mortal_server: ServerProcess, name: str) -> None:
    starters: list[threading.Thread] = []

    def objective(trial: Any) -> float:
        x = float(trial.suggest_float("x", 0, 1))
        if trial.number in (1, 3):
            mortal_server.kill()
            starters.append(threading.Thread(target=mortal_server.start))
            starters[-1].start()
        trial.report(x, 0)
        return x

    with mortal_server.open_client() as client:
        study = client.create_study(name)
        study.optimize(objective, n_trials=6)
        for starter in starters:
            starter.join()
        trials = study.trials
    assert [trial.number for trial in trials] == list(range(6))
    assert {trial.state.name for trial in trials} == {"COMPLETE"}
    assert all(list(trial.intermediate_values.values()) == trial.values for trial in trials)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_forked_children_have_connections_of_their_own(server: ServerProcess, name: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", FORKING_PROGRAM, name],
        env=server.environ,
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stderr) == (0, "")
