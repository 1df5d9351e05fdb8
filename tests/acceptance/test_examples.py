"""Every example, as its user runs it: command line, server, worker and programs are real."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asktell
import pytest

from tests.this_machine import find_free_port

EXAMPLES = Path(__file__).parents[2] / "examples"
SWEEP_FILES = ("digits/sweep.yaml", "digits_sdk/sweep.yaml", "wandb/sweep.yaml")
# Run in test_flyte_sweeps.py.
FLYTE_FILES = ("flyte/sweep.yaml",)
# Read in tests/unit/test_sweep_files_schedulers.py; its job and its queue are in W&B.
QUEUE_FILES = ("wandb_launch/sweep.yaml",)
PROGRAMS = ("digits_optimize/train.py",)
DEADLINE_SECONDS = 120

pytestmark = pytest.mark.timeout(300)


class Machine:
    """A machine on which somebody has `asktell serve` running, and types commands."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._port = find_free_port()
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when the server is ready."""
        (self.data_dir / "address").unlink(missing_ok=True)
        with (self.data_dir / "log").open("ab") as log:
            self._server = subprocess.Popen(
                self._asktell("serve", "--port", str(self._port)),
                env=self.environ,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not (self.data_dir / "address").exists():
            assert self._server.poll() is None, (self.data_dir / "log").read_text()
            assert time.monotonic() < deadline, "the server did not become ready"
            time.sleep(0.05)

    def end(self, number: signal.Signals) -> None:
        assert self._server is not None
        self._server.send_signal(number)
        self._server.wait(DEADLINE_SECONDS)

    @property
    def environ(self) -> dict[str, str]:
        names = ("VIRTUAL_ENV", "CONDA_PREFIX")
        inherited = {name: value for name, value in os.environ.items() if name not in names}
        own = {"ASKTELL_DATA_DIR": str(self.data_dir), "ASKTELL_WORKER": "2"}
        others = {"ASKTELL_DASHBOARD": "false"}
        wandb = {
            "WANDB_CACHE_DIR": str(self.data_dir / "wandb-cache"),
            "WANDB_ERROR_REPORTING": "false",
        }
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return inherited | own | others | wandb | {"PATH": path}

    def open_client(self) -> asktell.Client:
        token = (self.data_dir / "token").read_text().strip()
        return asktell.Client(f"http://127.0.0.1:{self._port}", token)

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
        )

    def sweep(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return self.run(*self._asktell("sweep", *arguments))

    def open_sweep(self, *arguments: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self._asktell("sweep", *arguments),
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def show(self, name: str) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(self.sweep("show", name, "--json").stdout)
        return shown

    def _asktell(self, *arguments: str | Path) -> list[str | Path]:
        return [sys.executable, "-m", "service.cli.main", *arguments]


@pytest.fixture(scope="module")
def machine(shared_open_folder: Path, prepared_data: Path) -> Iterator[Machine]:
    subprocess.run(["cp", "-a", prepared_data, shared_open_folder], check=True)
    machine = Machine(shared_open_folder / "data")
    machine.start()
    yield machine
    machine.end(signal.SIGTERM)


def test_there_are_no_other_examples() -> None:
    found = {str(path.relative_to(EXAMPLES)) for path in EXAMPLES.rglob("*.yaml")}
    assert found == {*SWEEP_FILES, *FLYTE_FILES, *QUEUE_FILES}
    run_by_sweeps = {str(Path(file).with_name("train.py")) for file in SWEEP_FILES}
    found = {str(path.relative_to(EXAMPLES)) for path in EXAMPLES.glob("*/train.py")}
    assert found == run_by_sweeps | set(PROGRAMS)


def test_a_program_may_use_the_sdk(machine: Machine) -> None:
    file = EXAMPLES / "digits_sdk" / "sweep.yaml"
    result = machine.sweep("run", file, "--trials", "2", "--name", "second", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout)["sweep"]["state"] == "finished"
    check_trials(machine, "second", 2)


def test_a_program_may_be_a_wandb_run(machine: Machine) -> None:
    file = EXAMPLES / "wandb" / "sweep.yaml"
    options = ("--executor", "wandb", "--mode", "offline", "--trials", "2", "--name", "third")

    result = machine.sweep("run", file, *options, "--json")

    assert (result.returncode, result.stderr) == (0, "")
    check_trials(machine, "third", 2, epochs=10)
    kept = machine.data_dir / "inner-worker" / "wandb"
    for attempt in machine.show("third")["attempts"]:
        assert attempt["external_ref"] == f"offline/digits/{attempt['id']}"
        assert list(kept.glob(f"offline-run-*-{attempt['id']}/run-{attempt['id']}.wandb"))


def check_trials(machine: Machine, name: str, count: int, *, epochs: int = 20) -> None:
    """Each was run once, and those that are complete have a value after each epoch."""
    trials = json.loads(machine.sweep("export", name, "--json").stdout)["trials"]
    assert [trial["number"] for trial in trials] == list(range(count))
    complete = [trial for trial in trials if trial["state"] == "COMPLETE"]
    assert complete
    for trial in complete:
        steps = [point["step"] for point in trial["intermediate_values"]]
        assert steps == list(range(epochs))
        assert trial["values"] == [trial["intermediate_values"][-1]["value"]]
        assert 0 < trial["values"][0] <= 1
    attempts = machine.show(name)["attempts"]
    assert [attempt["attempt"] for attempt in attempts] == [1] * count


def test_processes_share_a_study(machine: Machine) -> None:
    program = EXAMPLES / PROGRAMS[0]
    result = machine.run(sys.executable, program, "--processes", "2", "--trials", "1")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("Best accuracy ")


def test_a_view_survives_the_death_of_the_server(machine: Machine) -> None:
    command = ["run", EXAMPLES / "digits" / "sweep.yaml", "--trials", "2", "--name", "lasting"]
    with machine.open_sweep(*command) as view:
        assert view.stdout is not None
        assert any(" 2 running" in line for line in view.stdout)
        machine.end(signal.SIGKILL)
        assert any("the server does not answer" in line for line in view.stdout)
        machine.start()
        output, _ = view.communicate(timeout=DEADLINE_SECONDS)

    assert view.returncode == 0, output
    assert "the server answers again" in output
    attempts = machine.show("lasting")["attempts"]
    assert [attempt["attempt"] for attempt in attempts] == [1, 1]


def test_ctrl_c_detaches_where_nobody_can_be_asked(machine: Machine) -> None:
    command = ["run", EXAMPLES / "digits" / "sweep.yaml", "--name", "left"]
    with machine.open_sweep(*command) as view:
        assert view.stdout is not None
        assert any(" 2 running" in line for line in view.stdout)
        view.send_signal(signal.SIGINT)
        _, errors = view.communicate(timeout=DEADLINE_SECONDS)

    assert view.returncode == 130
    assert errors == "The sweep goes on; `asktell sweep show left` shows how.\n"
    assert machine.show("left")["sweep"]["state"] == "active"
    assert machine.sweep("cancel", "left").returncode == 0
    with machine.open_client() as client:
        summary = client.get_sweep("left").wait(DEADLINE_SECONDS, poll_seconds=0.2)
    assert summary.state == "cancelled"
