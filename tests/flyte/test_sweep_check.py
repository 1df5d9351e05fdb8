"""`asktell sweep check` and `run` compare a sweep with what it is to launch in Flyte."""

import os
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from tests.flyte_admin import FlyteAdmin

FILE = """\
direction: minimize
space:
  lr: {type: float, low: 0.1, high: 1}
  depth: {type: categorical, choices: [1, deep]}
  wide: {type: int, low: 1, high: 2, when: {depth: [deep]}}
launch:
  executor: flyte
  task: flytesnacks/development/train@v1
  inputs: {epochs: 3}
  input_names: {lr: rate}
"""


@pytest.fixture
def admin(flyte_admin: FlyteAdmin) -> FlyteAdmin:
    inputs = {"rate": float, "depth": int, "epochs": int}
    flyte_admin.plant_task("train", inputs=inputs, outputs={"o0": float})
    return flyte_admin


def run_asktell(
    folder: Path, command: str, text: str, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    (folder / "sweep.yaml").write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "service.cli.main", "sweep", command, str(folder / "sweep.yaml")],
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_check_says_all_that_does_not_fit(admin: FlyteAdmin, tmp_path: Path) -> None:
    found = run_asktell(tmp_path, "check", FILE, admin.build_environment())
    assert found.returncode == 2
    assert found.stderr == (
        f"{tmp_path}/sweep.yaml:8: launch.task: "
        "The task flytesnacks/development/train@v1 does not fit the sweep. "
        "It has no input 'wide'; there is depth, epochs, rate. "
        "The input 'depth' is of type int; 'deep' is not.\n"
    )


def test_a_range_of_floats_is_no_integer(admin: FlyteAdmin, tmp_path: Path) -> None:
    depths = FILE.replace(
        "{type: categorical, choices: [1, deep]}", "{type: float, low: 1, high: 3}"
    )
    depths = depths.replace("  wide", "  # wide")
    found = run_asktell(tmp_path, "check", depths, admin.build_environment())
    assert found.returncode == 2
    assert "The input 'depth' is of type int; 2.2359999999999998 is not." in found.stderr


def test_run_creates_nothing_that_does_not_fit(admin: FlyteAdmin, tmp_path: Path) -> None:
    # Nobody listens there: it does not come that far.
    environment = {**admin.build_environment(), "ASKTELL_URL": "http://127.0.0.1:1"}
    found = run_asktell(tmp_path, "run", FILE, {**environment, "ASKTELL_TOKEN": "as_" + "x" * 40})
    assert found.returncode == 2
    assert "does not fit the sweep. It has no input 'wide'" in found.stderr


def test_a_sweep_that_fits_passes(admin: FlyteAdmin, tmp_path: Path) -> None:
    fitting = FILE.replace("[1, deep]", "[1, 2]").replace("  wide", "  # wide")
    found = run_asktell(tmp_path, "check", fitting, admin.build_environment())
    assert (found.returncode, found.stderr) == (0, "")


@pytest.mark.parametrize("has_settings", [True, False])
def test_where_flyte_cannot_be_asked_it_says_so(
    admin: FlyteAdmin, tmp_path: Path, has_settings: bool
) -> None:
    admin.break_("GetTask", grpc.StatusCode.UNAVAILABLE, when="before", times=None)
    environment = admin.build_environment() if has_settings else {}
    found = run_asktell(tmp_path, "check", FILE, environment)
    assert found.returncode == 0
    reason = "Flyte at " if has_settings else "flytekit is not installed here, or has no settings."
    assert found.stderr.startswith(
        f"note: Not compared with Flyte; the first worker will do that. {reason}"
    )
