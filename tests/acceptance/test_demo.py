"""`asktell demo`: the service, a sweep through the command line, and nothing left behind."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

ASKTELL = (sys.executable, "-m", "service.cli.main")
DEADLINE_SECONDS = 120

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def data_dir(used_folder: Path) -> Path:
    return used_folder / "data"


def test_trains_and_shows_the_best_trials(open_folder: Path) -> None:
    data_dir = open_folder / "data"

    demo = run_demo(data_dir)

    assert demo.returncode == 0, demo.stderr
    assert "Sweep digits, to be watched at http://127.0.0.1:" in demo.stdout
    assert "Sweep digits is finished (max_trials): " in demo.stdout
    assert "best accuracy 0." in demo.stdout
    assert "learning_rate=" in demo.stdout.partition("Best trials")[2]
    assert " of 2 trials were pruned." in demo.stdout
    assert f": asktell serve --data-dir {data_dir}" in demo.stdout
    assert find_processes_of(data_dir) == []
    # Its log holds a login link.
    assert stat.S_IMODE((data_dir / "demo").stat().st_mode) == 0o700


def test_uses_the_service_that_runs_on_its_data(data_dir: Path) -> None:
    with running_service(data_dir) as service:
        demos = [run_demo(data_dir, "--trials", "1") for _ in range(2)]

        assert [demo.returncode for demo in demos] == [0, 0], demos
        assert "Starting the service" not in demos[0].stdout
        assert "Sweep digits-2, " in demos[1].stdout
        assert service.poll() is None


def test_failing_training_fails_the_demo_with_its_last_words(
    data_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "sklearn.py").write_text("raise RuntimeError('no classifier today')")

    demo = run_demo(data_dir, environment={"PYTHONPATH": str(tmp_path)})

    assert demo.returncode == 1
    assert "RuntimeError: no classifier today" in demo.stdout
    assert "came to no result" in demo.stderr
    assert find_processes_of(data_dir) == []


@pytest.mark.parametrize("moment", ["Starting the service", " 2 running"])
def test_interrupt_leaves_no_process(data_dir: Path, moment: str) -> None:
    demo = subprocess.Popen(
        build_command(data_dir), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert demo.stdout is not None
    assert any(moment in line for line in demo.stdout)

    demo.send_signal(signal.SIGINT)
    _, errors = demo.communicate(timeout=DEADLINE_SECONDS)

    assert demo.returncode == 130
    assert errors.strip() == "Stopped."
    assert find_processes_of(data_dir) == []


def build_command(data_dir: Path, *options: str) -> list[str | Path]:
    return [*ASKTELL, "demo", "--data-dir", data_dir, *(options or ("--trials", "2"))]


def run_demo(
    data_dir: Path, *options: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        build_command(data_dir, *options),
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
    )


@contextmanager
def running_service(data_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    service = subprocess.Popen(
        [*ASKTELL, "serve", "--port", "0", "--data-dir", data_dir],
        env={**os.environ, "ASKTELL_WORKER": "2"},
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for(data_dir / "address", service)
        yield service
    finally:
        service.terminate()
        service.wait(DEADLINE_SECONDS)


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not path.exists():
        assert process.poll() is None, f"ended before it made {path.name}"
        assert time.monotonic() < deadline, f"{path.name} did not appear"
        time.sleep(0.05)


def find_processes_of(data_dir: Path) -> list[str]:
    """Command lines that name the data directory, or were given it by the demo."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        if os.fsencode(data_dir) in command + environment and int(folder.name) != os.getpid():
            found.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return found
