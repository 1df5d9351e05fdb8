"""Leases: renewed while somebody works on a trial, and noticed when they are lost."""

import os
import subprocess
import sys

import asktell
import pytest

from tests.sdk.clocks import wait_until
from tests.sdk.servers import ServerProcess

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
