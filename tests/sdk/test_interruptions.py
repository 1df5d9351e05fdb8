"""Ctrl-C while threads run trials: the first waits for them, the second gives them up."""

import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import asktell
import pytest
from asktell._optimize import GIVEN_UP_REASON

from tests.sdk.servers import ServerProcess

# The handler is set because a shell's background jobs, perhaps this test, ignore SIGINT.
PROGRAM = """
import signal, sys, threading
import asktell

signal.signal(signal.SIGINT, signal.default_int_handler)
is_released = threading.Event()

def release():
    sys.stdin.readline()
    is_released.set()

def objective(trial):
    # In one piece: print writes the end of the line by itself.
    sys.stdout.write("started\\n")
    sys.stdout.flush()
    is_released.wait()
    return 1.0

threading.Thread(target=release, daemon=True).start()
asktell.Client().get_study(sys.argv[1]).optimize(objective, n_jobs=2)
"""


@contextmanager
def run_two_trials(server: ServerProcess, study: asktell.Study) -> Iterator[subprocess.Popen[str]]:
    """A program whose two trials have begun, and end when it is sent a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, study.name],
        env=server.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            assert [process.stdout.readline() for _ in range(2)] == ["started\n"] * 2
            yield process
        finally:
            process.kill()


def interrupt(process: subprocess.Popen[str]) -> str:
    """Presses Ctrl-C, and returns the line that answers it."""
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    return process.stderr.readline()


@pytest.mark.timeout(120)
def test_the_first_waits_for_the_running_trials(
    server: ServerProcess, study: asktell.Study
) -> None:
    with run_two_trials(server, study) as process:
        assert interrupt(process) == ("Waiting for 2 running trials; Ctrl-C again gives them up.\n")
        assert {trial.state.name for trial in study.trials} == {"RUNNING"}
        _, errors = process.communicate("\n", timeout=60)

    assert "KeyboardInterrupt" in errors
    assert process.returncode == -signal.SIGINT
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 2


@pytest.mark.timeout(120)
def test_the_second_gives_them_up_and_ends_the_process(
    server: ServerProcess, study: asktell.Study
) -> None:
    with run_two_trials(server, study) as process:
        interrupt(process)
        began_at = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
        seconds = time.monotonic() - began_at

    assert process.returncode == -signal.SIGINT
    assert seconds < 10
    assert [trial.state.name for trial in study.trials] == ["FAIL"] * 2
    assert {trial.reason for trial in study.trials} == {GIVEN_UP_REASON}


class SecondPress(logging.Handler):
    """Presses Ctrl-C again as soon as the first one is answered."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith("Waiting for"):
            signal.raise_signal(signal.SIGINT)


@pytest.fixture
def _two_presses() -> Iterator[None]:
    """Ctrl-C as Python has it: flytekit, where some test has imported it, ends the process."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    logger, handler = logging.getLogger("asktell"), SecondPress()
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_two_presses")
def test_what_was_given_up_changes_nothing_when_it_returns_in_the_end(
    study: asktell.Study,
) -> None:
    main = threading.main_thread().ident
    assert main is not None
    together, is_released = threading.Barrier(2, timeout=60), threading.Event()
    seen: list[int] = []

    def objective(trial: asktell.Trial) -> float:
        if together.wait() == 0:
            signal.pthread_kill(main, signal.SIGINT)
        is_released.wait(60)
        return 1.0

    with pytest.raises(KeyboardInterrupt):
        study.optimize(objective, n_jobs=2, callbacks=[lambda _, told: seen.append(told.number)])
    assert [trial.state.name for trial in study.trials] == ["FAIL"] * 2

    is_released.set()
    for thread in threading.enumerate():
        if thread.name.startswith("asktell_"):
            thread.join(60)
    assert [trial.reason for trial in study.trials] == [GIVEN_UP_REASON] * 2
    assert seen == []
