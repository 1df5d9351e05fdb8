"""Leases: renewed while somebody works on a trial, and noticed when they are lost."""

import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import asktell
import httpx
import pytest

from tests.sdk.clocks import FakeTime, wait_until
from tests.sdk.scripts import STUDY, TOLD, problem
from tests.sdk.servers import ServerProcess

LEASE_END = "2026-01-01T00:02:00Z"
RENEWED = httpx.Response(200, json={"should_prune": False, "lease_expires_at": LEASE_END})

IDLE_PROGRAM = """
import sys, asktell
trial = asktell.Client().create_study(sys.argv[1]).ask()
"""

FORKING_PROGRAM = """
import os, signal, sys, time, warnings
import asktell

signal.alarm(60)
# Python 3.12 warns of a fork beside other threads, such as the one for the heartbeats.
warnings.simplefilter("ignore", DeprecationWarning)
client = asktell.Client()
study = client.create_study(sys.argv[1])
inherited = study.ask()
# Another thread may hold the lock at the moment of the fork.
client._heartbeats._condition.acquire()
pid = os.fork()
if pid == 0:
    signal.alarm(60)
    try:
        trial = study.ask(lease_seconds=1.0)
        first = trial.lease_expires_at
        while (trial.lease_expires_at - first).total_seconds() < 1.0:
            time.sleep(0.01)
        inherited.report(0.5, 0)
        inherited.tell(0.5)
        trial.tell(0.5)
    except BaseException:
        os._exit(1)
    os._exit(0)
client._heartbeats._condition.release()
assert os.waitpid(pid, 0)[1] == 0
assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 2
"""


class Desk:
    """Answers like a server whose leases take two minutes, and notes the heartbeats."""

    def __init__(self) -> None:
        self.time = FakeTime()
        self.beats: list[tuple[str, int]] = []
        self.answer: httpx.Response | type[httpx.RequestError] = RENEWED
        self.told = httpx.Response(200, json=TOLD)
        self.client = asktell.Client(
            "http://box", "t", transport=httpx.MockTransport(self.handle), clock=self.time.clock
        )
        self._asked = 0

    def handle(self, request: httpx.Request) -> httpx.Response:
        action = request.url.path.rsplit("/", 1)[-1]
        if action == "heartbeat":
            return self._note_beat(request)
        if action == "ask":
            return self._hand_out(json.loads(request.content))
        answers = {"tell": self.told, "s": httpx.Response(200, json=STUDY)}
        return answers.get(action, RENEWED)

    def let_pass(self, seconds: float) -> None:
        self.time.let_pass(seconds, while_true=self._has_thread)

    def _has_thread(self) -> bool:
        thread = self.client._heartbeats._thread
        return thread is not None and thread.is_alive()

    def _note_beat(self, request: httpx.Request) -> httpx.Response:
        self.beats.append((request.url.path, json.loads(request.content)["attempt"]))
        if isinstance(self.answer, httpx.Response):
            return self.answer
        raise self.answer("scripted")

    def _hand_out(self, body: dict[str, Any]) -> httpx.Response:
        expires_at = LEASE_END if body["lease_seconds"] == 120.0 else None
        numbers = range(self._asked, self._asked + body["count"])
        self._asked = numbers.stop
        trials = [
            {
                "number": number,
                "attempt": 2,
                "params": {},
                "user_attrs": {},
                "lease_expires_at": expires_at,
            }
            for number in numbers
        ]
        return httpx.Response(200, json={"trials": trials})


@pytest.fixture
def desk() -> Iterator[Desk]:
    opened = Desk()
    with opened.client:
        yield opened


@pytest.fixture
def desks_study(desk: Desk) -> asktell.Study:
    return desk.client.get_study("s")


class TestHeartbeats:
    """When they are sent, with time in the test's hands."""

    def test_a_lease_is_renewed_after_a_third_of_it(
        self, desk: Desk, desks_study: asktell.Study
    ) -> None:
        trial = desks_study.ask()
        desk.let_pass(39.0)
        assert desk.beats == []
        desk.let_pass(1.0)
        assert desk.beats == [("/studies/s/trials/0/heartbeat", 2)]
        desk.let_pass(39.0)
        assert len(desk.beats) == 1
        desk.let_pass(1.0)
        assert len(desk.beats) == 2
        assert trial.lease_expires_at is not None

    def test_a_report_renews_as_well(self, desk: Desk, desks_study: asktell.Study) -> None:
        trial = desks_study.ask()
        desk.let_pass(30.0)
        trial.report(1.0, 0)
        desk.let_pass(39.0)
        assert desk.beats == []
        desk.let_pass(1.0)
        assert len(desk.beats) == 1

    def test_one_thread_renews_all(self, desk: Desk, desks_study: asktell.Study) -> None:
        trials = desks_study.ask(3)
        desk.let_pass(20.0)
        trials.append(desks_study.ask())
        desk.let_pass(20.0)
        assert len(desk.beats) == 3
        desk.let_pass(20.0)
        assert len(desk.beats) == 4

    def test_a_trial_without_a_lease_needs_none(
        self, desk: Desk, desks_study: asktell.Study
    ) -> None:
        trial = desks_study.ask(lease_seconds=None)
        assert trial.lease_expires_at is None
        assert desk.client._heartbeats._thread is None

    def test_a_tell_ends_them(self, desk: Desk, desks_study: asktell.Study) -> None:
        trial, second = desks_study.ask(2)
        trial.tell(1.0)
        desk.let_pass(1000.0)
        assert [path for path, _ in desk.beats] == ["/studies/s/trials/1/heartbeat"]
        assert second.told is None

    def test_a_tell_that_is_refused_does_not(self, desk: Desk, desks_study: asktell.Study) -> None:
        trial = desks_study.ask()
        desk.told = problem(422, "invalid-values")
        with pytest.raises(asktell.InvalidError):
            trial.tell(1.0)
        desk.let_pass(40.0)
        assert len(desk.beats) == 1

    def test_a_tell_by_number_ends_them_as_well(
        self, desk: Desk, desks_study: asktell.Study
    ) -> None:
        trials = desks_study.ask(3)
        desks_study.tell(trials[1].number, 1.0)
        desk.told = httpx.Response(200, json={"trials": [TOLD]})
        desks_study.tell_many([(trials[0].number, 1.0)])
        desk.let_pass(1000.0)
        assert [path for path, _ in desk.beats] == ["/studies/s/trials/2/heartbeat"]

    def test_leaving_the_with_block_ends_them(self, desk: Desk, desks_study: asktell.Study) -> None:
        desk.told = problem(422, "invalid-values")
        trial = desks_study.ask()
        with pytest.raises(ValueError, match="mine"), trial:
            raise ValueError("mine")
        desk.let_pass(1000.0)
        assert desk.beats == []

    def test_a_trial_that_nobody_holds_is_let_go(
        self, desk: Desk, desks_study: asktell.Study
    ) -> None:
        trial = desks_study.ask()
        desk.let_pass(0.0)
        del trial
        gc.collect()
        desk.let_pass(1000.0)
        assert desk.beats == []
        assert desk.client._heartbeats._thread is None

    def test_closing_the_client_ends_them_and_a_report_starts_them_anew(
        self, desk: Desk, desks_study: asktell.Study
    ) -> None:
        trial = desks_study.ask()
        desk.client.close()
        desk.let_pass(1000.0)
        assert desk.beats == []
        trial.report(1.0, 0)
        desk.let_pass(40.0)
        assert len(desk.beats) == 1

    @pytest.mark.parametrize(
        "failure",
        [
            httpx.ConnectError,
            httpx.ReadTimeout,
            httpx.DecodingError,
            problem(503, "x"),
            problem(404, "http-404"),
        ],
    )
    def test_what_may_pass_is_tried_again_soon_and_quietly(
        self,
        desk: Desk,
        desks_study: asktell.Study,
        failure: Any,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        trial = desks_study.ask()
        desk.answer = failure
        desk.let_pass(40.0)
        desk.let_pass(9.0)
        assert len(desk.beats) == 1
        desk.let_pass(1.0)
        assert len(desk.beats) == 2
        desk.answer = RENEWED
        desk.let_pass(10.0)
        desk.let_pass(39.0)
        assert len(desk.beats) == 3
        assert trial.should_prune() is False
        assert caplog.records == []

    def test_a_server_that_is_away_is_not_asked_for_every_trial(
        self, desk: Desk, desks_study: asktell.Study
    ) -> None:
        trials = desks_study.ask(50)
        desk.answer = httpx.ReadTimeout
        desk.let_pass(40.0)
        assert len(desk.beats) == 1
        desk.answer = RENEWED
        desk.let_pass(10.0)
        assert len(desk.beats) == 1 + len(trials)

    @pytest.mark.parametrize("code", ["lease-lost", "trial-not-running", "study-not-found"])
    def test_a_loss_is_raised_where_the_trial_is_worked_on(
        self,
        desk: Desk,
        desks_study: asktell.Study,
        code: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        trial = desks_study.ask()
        trial.report(1.0, 0)
        desk.answer = problem(404 if code == "study-not-found" else 409, code)
        desk.let_pass(40.0)
        for work in (lambda: trial.report(1.0, 1), trial.should_prune):
            with pytest.raises(asktell.ApiError) as caught:
                work()
            assert caught.value.code == code
        assert "A heartbeat was refused" in caplog.text
        desk.let_pass(1000.0)
        assert len(desk.beats) == 1


class TestOnTheServer:
    """What becomes of a trial that is renewed, and of one that is not."""

    def test_a_held_trial_outlives_its_lease(self, study: asktell.Study) -> None:
        patient = study.ask()
        trial = study.ask(lease_seconds=1.0)
        first = trial.lease_expires_at
        assert first is not None

        def is_renewed_twice() -> bool:
            now = trial.lease_expires_at
            return now is not None and (now - first).total_seconds() > 1.0

        wait_until(is_renewed_twice)
        assert (study.get_trial(1).phase, study.get_trial(1).attempt) == ("live", 1)
        assert trial.tell(1.0).attempt == 1
        patient.tell(1.0)

    def test_a_trial_of_a_dead_client_goes_to_the_next(
        self, server: ServerProcess, study: asktell.Study
    ) -> None:
        with server.open_client() as mortal:
            lost = mortal.get_study(study.name).ask(lease_seconds=1.0)
            mortal.close()
            wait_until(lambda: study.get_trial(0).phase == "queued")
            found = study.ask()
            assert (found.number, found.attempt) == (0, 2)
            for work in (lambda: lost.report(1.0, 0), lost.should_prune, lambda: lost.tell(1.0)):
                with pytest.raises(asktell.LeaseLostError):
                    work()
        assert found.should_prune() is False
        assert found.tell(2.0).values == [2.0]

    def test_a_heartbeat_notices_the_loss(
        self, server: ServerProcess, study: asktell.Study
    ) -> None:
        trial = study.ask(lease_seconds=1.0)
        with server.open_client() as other:
            take_over(trial, other.get_study(study.name))
            wait_until(lambda: trial._lease.lost_by is not None)
        with pytest.raises(asktell.LeaseLostError):
            trial.should_prune()

    def test_a_with_block_around_a_lost_trial_leaves_it_alone(
        self, study: asktell.Study, caplog: pytest.LogCaptureFixture
    ) -> None:
        trial = study.ask()
        taken = take_over(trial)
        with pytest.raises(asktell.LeaseLostError), trial:
            trial.report(1.0, 0)
        assert caplog.records == []
        assert study.get_trial(0).phase == "live"
        assert taken.tell(1.0).attempt == 2

    @pytest.mark.parametrize("is_reporting", [True, False])
    def test_optimize_leaves_a_lost_trial_alone_and_goes_on_with_the_next(
        self, study: asktell.Study, caplog: pytest.LogCaptureFixture, *, is_reporting: bool
    ) -> None:
        elsewhere: list[asktell.Trial] = []
        seen: list[int] = []

        def objective(trial: asktell.Trial) -> float:
            if trial.number == 0:
                elsewhere.append(take_over(trial))
                if is_reporting:
                    trial.report(1.0, 0)
            return 3.0

        callbacks = [lambda _, trial: seen.append(trial.number)]
        study.optimize(objective, n_trials=2, catch=(Exception,), callbacks=callbacks)
        assert seen == [1]
        assert elsewhere[0].tell(4.0).intermediate_values == {}
        assert [trial.values for trial in study.trials] == [[4.0], [3.0]]
        assert "Trial 0 is not ours any more" in caplog.text

    def test_a_failure_that_is_tried_again_is_not_finished(
        self, client: asktell.Client, name: str
    ) -> None:
        study = client.create_study(name, retry={"on": ["failed"], "max_attempts": 2})
        attempts: list[int] = []
        seen: list[str] = []

        def objective(trial: asktell.Trial) -> float:
            attempts.append(trial.attempt)
            raise OSError

        study.optimize(
            objective,
            n_trials=2,
            catch=OSError,
            callbacks=[lambda _, trial: seen.append(trial.state.name)],
        )
        assert attempts == [1, 2]
        assert seen == ["FAIL"]
        assert len(study.trials) == 1

    def test_an_idle_trial_keeps_no_process_alive(self, server: ServerProcess, name: str) -> None:
        assert run(server, IDLE_PROGRAM, name) == (0, "")

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
    def test_a_forked_child_has_heartbeats_of_its_own(
        self, server: ServerProcess, name: str
    ) -> None:
        assert run(server, FORKING_PROGRAM, name) == (0, "")


def take_over(trial: asktell.Trial, by: asktell.Study | None = None) -> asktell.Trial:
    """The trial's next attempt, as if its machine had been taken away."""
    study = by or trial.study
    study.tell(trial.number, state="FAIL", cause="preempted")
    taken = study.ask()
    assert (taken.number, taken.attempt) == (trial.number, trial.attempt + 1)
    return taken


def run(server: ServerProcess, program: str, name: str) -> tuple[int, str]:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, name],
        env=server.environ,
        capture_output=True,
        text=True,
    )
    return result.returncode, result.stderr
