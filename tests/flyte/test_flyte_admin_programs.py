"""The programs that the stand-in for flyteadmin starts: each by itself, from code that was
uploaded, and none left behind.
"""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from flytekit.configuration import ImageConfig
from flytekit.tools.module_loader import load_object_from_module

from tests.flyte.remotes import PROGRAMS, execute, is_running, open_remote, wait_for_program
from tests.flyte_admin import FlyteAdmin, Zygote
from tests.flyte_admin.admin import VERSION

_UPLOADED = """
import flytekit as fl

@fl.task
def double(x: float) -> float:
    return 2 * x
"""


def test_a_program_is_started_by_itself() -> None:
    with FlyteAdmin() as admin:
        admin.register(PROGRAMS, "square")
        execute(open_remote(admin), "square", "plain", {"x": 3.0, "offset": 1})
        record = admin.wait_for("plain", "SUCCEEDED")

    assert record.outputs == {"o0": 5.0}


def test_uploaded_code_is_executed(
    flyte_admin: FlyteAdmin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "uploaded_code.py").write_text(_UPLOADED)
    monkeypatch.syspath_prepend(tmp_path)
    remote = open_remote(flyte_admin)
    task = remote.register_script(
        load_object_from_module("uploaded_code.double"),
        image_config=ImageConfig.auto(img_name="example.com/stand-in:1"),
        version=VERSION,
        source_path=str(tmp_path),
        destination_dir=str(tmp_path / "of-the-image"),
        module_name="uploaded_code",
    )
    (tmp_path / "uploaded_code.py").unlink()
    remote.execute(task, {"x": 3.0}, execution_name="fast")

    assert flyte_admin.wait_for("fast", "SUCCEEDED").outputs == {"o0": 6.0}
    assert flyte_admin.calls["upload"] == 1


def test_no_program_is_left(flyte_zygote: Zygote) -> None:
    with FlyteAdmin(zygote=flyte_zygote, slots=2) as admin:
        admin.register(PROGRAMS, "sleep", "ignore_signals")
        remote = open_remote(admin)
        for task in ("sleep", "ignore_signals"):
            execute(remote, task, task.replace("_", "-"), {"seconds": 100.0})
        wait_for_program(admin, "sleep", "asleep")
        wait_for_program(admin, "ignore-signals", "deaf")

    assert [record.phase for record in admin.executions.values()] == ["ABORTED"] * 2
    assert [each for each in admin.executed if is_running(each.pid)] == []
    assert not admin.world.root.exists()


def test_programs_end_with_the_warm_process(tmp_path: Path) -> None:
    zygote = Zygote(tmp_path)
    with FlyteAdmin(zygote=zygote) as admin:
        admin.register(PROGRAMS, "sleep")
        execute(open_remote(admin), "sleep", "sleeps", {"seconds": 100.0})
        admin.wait_until(lambda: admin.executed)
        zygote.close()

        assert admin.wait_for("sleeps", "FAILED").error.code == "StandIn"
        assert "ChildProcessError" in admin.unknown[0]
    assert not is_running(admin.executed[0].pid)


def test_by_hand_it_says_how_to_come_in() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.flyte_admin", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        variables = [process.stdout.readline().strip() for _ in range(2)]
        process.send_signal(signal.SIGTERM)

    assert variables[0].startswith("export FLYTE_PLATFORM_URL=127.0.0.1:")
    assert variables[1] == "export FLYTE_PLATFORM_INSECURE=true"
    assert process.returncode == 0
