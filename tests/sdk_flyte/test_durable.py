"""Eager tasks whose study a server keeps: their executions and what becomes of them."""

import os
import signal
from collections import Counter
from pathlib import Path

import grpc
import pytest
from flytekit.remote import FlyteRemote

from tests.flyte.remotes import open_remote
from tests.flyte_admin import FlyteAdmin
from tests.flyte_admin.admin import VERSION
from tests.sdk.servers import ServerProcess

MODULE = "tests.sdk_flyte.durable"


@pytest.fixture(scope="module")
def admin(shared_flyte_admin: FlyteAdmin) -> FlyteAdmin:
    shared_flyte_admin.register(MODULE)
    return shared_flyte_admin


def start(
    admin: FlyteAdmin,
    server: ServerProcess,
    task: str,
    study: str,
    *,
    execution: str | None = None,
    **inputs: str,
) -> None:
    """Starts an eager task; its execution is called as the study unless it is said."""
    remote: FlyteRemote = open_remote(admin)
    given = {"url": server.url, "token": server.token, "name": study, **inputs}
    fetched = remote.fetch_task(name=f"{MODULE}.{task}", version=VERSION)
    remote.execute(fetched, given, execution_name=execution or study)


def count_children(admin: FlyteAdmin, task: str) -> Counter[str]:
    """How often each execution of a task was started, by its name."""
    return Counter(
        program.execution for program in admin.executed if program.task.endswith(f".{task}")
    )


def list_waiting(admin: FlyteAdmin) -> list[str]:
    """Executions whose program runs and does not end by itself."""
    started = count_children(admin, "wait_for")
    return [
        name
        for name, record in admin.executions.items()
        if name in started and record.phase == "RUNNING" and record.inputs["x"] > 0.5
    ]


def test_a_killed_optimizer_goes_on_with_its_executions(
    admin: FlyteAdmin, server: ServerProcess, tmp_path: Path
) -> None:
    may_end = tmp_path / "may-end"
    start(admin, server, "search", "killed", path=str(may_end))
    admin.wait_until(lambda: len(list_waiting(admin)) == 2)
    pid = next(program.pid for program in admin.executed if program.execution == "killed")
    before = count_children(admin, "wait_for")
    os.killpg(pid, signal.SIGKILL)
    admin.wait_until(lambda: Counter(p.execution for p in admin.executed)["killed"] == 2)
    may_end.touch()
    assert admin.wait_for("killed", "SUCCEEDED").outputs == {"o0": 4}
    after = count_children(admin, "wait_for")
    assert before.keys() <= after.keys()
    assert sorted(after.values()) == [1, 1, 1, 1]
    with server.open_client() as client:
        trials = client.get_study("killed").trials
    assert [(trial.state.name, trial.attempt) for trial in trials] == [("COMPLETE", 1)] * 4


def test_the_workflow_that_is_run_again_takes_executions_over(
    admin: FlyteAdmin, server: ServerProcess, tmp_path: Path
) -> None:
    may_end = tmp_path / "may-end"
    before = count_children(admin, "wait_for")
    start(admin, server, "search", "aborted", path=str(may_end))
    admin.wait_until(lambda: len(list_waiting(admin)) == 2)
    admin.abort("aborted", "enough", "alice")
    admin.wait_for("aborted", "ABORTED")
    start(admin, server, "search", "aborted", execution="again", path=str(may_end))
    may_end.touch()
    assert admin.wait_for("again", "SUCCEEDED").outputs == {"o0": 4}
    assert sorted((count_children(admin, "wait_for") - before).values()) == [1, 1, 1, 1]


def test_nothing_is_lost_or_done_twice_while_flyte_is_away(
    admin: FlyteAdmin, server: ServerProcess, tmp_path: Path
) -> None:
    may_end = tmp_path / "may-end"
    before = count_children(admin, "wait_for")
    start(admin, server, "search", "away", path=str(may_end))
    # More often than flytekit repeats them by itself. What was started is found by its name.
    admin.break_("CreateExecution", grpc.StatusCode.UNAVAILABLE, when="after", times=6)
    admin.break_("GetExecution", grpc.StatusCode.UNAVAILABLE, times=6)
    admin.wait_until(lambda: len(list_waiting(admin)) == 2)
    admin.go_down()
    may_end.touch()
    admin.wait_until(lambda: not list_waiting(admin))
    admin.recover()
    assert admin.wait_for("away", "SUCCEEDED").outputs == {"o0": 4}
    assert sorted((count_children(admin, "wait_for") - before).values()) == [1, 1, 1, 1]


def test_an_optimizer_can_end_while_flyte_is_away(
    admin: FlyteAdmin, server: ServerProcess, tmp_path: Path
) -> None:
    """One trial waits for Flyte to start its execution, another one fails without Flyte."""
    path = tmp_path / "away"
    start(admin, server, "fail_alone", "ending", path=str(path))
    admin.break_("CreateExecution", grpc.StatusCode.UNAVAILABLE, times=None)
    so_far = admin.calls["CreateExecution"]
    admin.wait_until(lambda: admin.calls["CreateExecution"] > so_far)
    path.touch()
    admin.wait_for("ending", "FAILED")
    admin.recover()
    with server.open_client() as client:
        trials = client.get_study("ending").trials
    assert [trial.state.name for trial in trials] == ["FAIL", "FAIL"]


def test_executions_of_a_cancelled_trial_are_terminated(
    admin: FlyteAdmin, server: ServerProcess, tmp_path: Path
) -> None:
    may_end = tmp_path / "may-end"
    start(admin, server, "fail_one", "cancelled", path=str(may_end))
    waiting = admin.wait_until(lambda: names if len(names := list_waiting(admin)) == 2 else None)
    may_end.touch()
    record = admin.wait_for("cancelled", "FAILED")
    assert "bad" in record.error.message
    phases = Counter(admin.executions[name].phase for name in waiting)
    assert phases == {"SUCCEEDED": 1, "ABORTED": 1}
    with server.open_client() as client:
        trials = client.get_study("cancelled").trials
    assert [trial.state.name for trial in trials] == ["FAIL", "FAIL"]
    assert sorted("bad" in str(trial.reason) for trial in trials) == [False, True]


def test_a_task_is_its_trial_and_can_be_pruned(admin: FlyteAdmin, server: ServerProcess) -> None:
    start(admin, server, "report_all", "reporting")
    ends = admin.wait_for("reporting", "SUCCEEDED").outputs["o0"]
    assert ends == {"0.1": "COMPLETE", "0.2": "COMPLETE", "0.3": "COMPLETE", "0.9": "PRUNED"}
    with server.open_client() as client:
        trials = client.get_study("reporting").trials
    assert all(len(trial.intermediate_values) for trial in trials)
    names = [name for name in admin.executions if "ASKTELL_TRIAL" in admin.executions[name].envs]
    assert all("ASKTELL_TOKEN" not in admin.executions[name].envs for name in names)
    assert all(len(name) <= 50 for name in names)
