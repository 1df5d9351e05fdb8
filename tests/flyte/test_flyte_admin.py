"""The stand-in for flyteadmin runs what the real client of Flyte gives it."""

import os
import signal

import grpc
from flytekit.models.core.execution import WorkflowExecutionPhase as Phase
from flytekit.remote import FlyteRemote

from tests.flyte.remotes import (
    PROGRAMS,
    execute,
    find_code,
    finish,
    is_running,
    list_attempts,
    open_remote,
    wait_for_program,
)
from tests.flyte_admin import FlyteAdmin, Zygote
from tests.flyte_admin.admin import VERSION


def test_a_task_is_executed_and_its_outputs_are_read(
    admin: FlyteAdmin, remote: FlyteRemote
) -> None:
    execution = finish(remote, execute(remote, "square", "square", {"x": 3.0, "offset": 1}))

    assert execution.closure.phase == Phase.SUCCEEDED
    assert execution.outputs["o0"] == 5.0
    record = admin.executions["square"]
    assert (record.inputs, record.outputs) == ({"x": 3.0, "offset": 1}, {"o0": 5.0})
    assert list_attempts(admin, "square") == [0]


def test_variables_of_an_execution_reach_its_task(admin: FlyteAdmin, remote: FlyteRemote) -> None:
    for name, variable in (("seen", "ASKTELL_SEEN"), ("id", "FLYTE_INTERNAL_EXECUTION_ID")):
        envs = {"ASKTELL_SEEN": "here"}
        begun = execute(remote, "name_surroundings", name, {"name": variable}, envs=envs)
        finish(remote, begun)

    assert admin.executions["seen"].outputs == {"o0": "here"}
    assert admin.executions["id"].outputs == {"o0": "id"}


def test_an_error_of_a_task_fails_at_once(admin: FlyteAdmin, remote: FlyteRemote) -> None:
    execution = finish(remote, execute(remote, "fail", "bad", {"x": 1.5}))

    assert execution.closure.phase == Phase.FAILED
    assert execution.error is not None
    assert execution.error.code == "USER:RuntimeError"
    assert "ValueError: bad x=1.5" in execution.error.message
    assert list_attempts(admin, "bad") == [0]


def test_a_recoverable_error_is_retried_as_often_as_the_task_allows(
    admin: FlyteAdmin, remote: FlyteRemote
) -> None:
    recovered = finish(remote, execute(remote, "recover", "recovers", {"failures": 2}))
    lost = finish(remote, execute(remote, "recover", "recovers-not", {"failures": 3}))

    assert recovered.outputs["o0"] == 2
    assert list_attempts(admin, "recovers") == [0, 1, 2]
    assert lost.error is not None
    assert lost.error.code.startswith("RetriesExhausted|USER")
    assert lost.error.message.startswith("[3/3] currentAttempt done. Last Error: USER::")
    assert list_attempts(admin, "recovers-not") == [0, 1, 2]


def test_an_attempt_finds_the_checkpoint_of_the_one_before(
    admin: FlyteAdmin, remote: FlyteRemote
) -> None:
    execution = finish(remote, execute(remote, "resume", "resumes", {"x": 7}))

    assert execution.outputs["o0"] == 7
    assert list_attempts(admin, "resumes") == [0, 1]


def test_a_lost_machine_is_retried_though_the_task_allows_none(
    admin: FlyteAdmin, remote: FlyteRemote
) -> None:
    found = finish(remote, execute(remote, "lose_machine", "machine", {"losses": 1}))
    lost = finish(remote, execute(remote, "lose_machine", "machines", {"losses": 99}))

    assert found.outputs["o0"] == 1
    assert lost.error is not None
    assert lost.error.code == "RetriesExhausted|Interrupted"
    assert list_attempts(admin, "machines") == [0, 1, 2, 3]


def test_a_program_that_says_nothing_fails(admin: FlyteAdmin, remote: FlyteRemote) -> None:
    failed = finish(remote, execute(remote, "exit_early", "exits", {"code": 3}))
    silent = finish(remote, execute(remote, "exit_early", "silent", {"code": 0}))

    assert failed.error is not None
    assert failed.error.code == "RetriesExhausted|UnknownError"
    assert "exit code (3)" in failed.error.message
    assert "nothing to say" in failed.error.message
    assert admin.read_log("exits").endswith("nothing to say\n")
    assert silent.error is not None
    assert silent.error.code == "RetriesExhausted|OutputsNotFound"


def test_a_terminated_execution_is_aborted_with_its_cause(
    admin: FlyteAdmin, remote: FlyteRemote
) -> None:
    execution = execute(remote, "sleep", "sleeps", {"seconds": 100.0})
    program = wait_for_program(admin, "sleeps", "asleep")
    remote.terminate(execution, "hopeless")
    execution = finish(remote, execution)

    assert execution.closure.phase == Phase.ABORTED
    assert execution.closure.abort_metadata is not None
    assert execution.closure.abort_metadata.cause == "hopeless"
    assert not is_running(program.pid)
    code = find_code(lambda: remote.terminate(execution, "again"))
    assert code == grpc.StatusCode.FAILED_PRECONDITION


def test_aborting_lasts_as_long_as_the_program(flyte_zygote: Zygote) -> None:
    with FlyteAdmin(zygote=flyte_zygote, grace_seconds=100) as admin:
        admin.register(PROGRAMS, "ignore_signals")
        remote = open_remote(admin)
        execution = execute(remote, "ignore_signals", "deaf", {"seconds": 100.0})
        program = wait_for_program(admin, "deaf", "deaf")
        admin.abort("deaf", "by hand", "somebody")

        assert remote.sync(execution).closure.phase == Phase.ABORTING
        assert is_running(program.pid)
        os.kill(program.pid, signal.SIGKILL)
        aborted = finish(remote, execution)

    assert aborted.closure.phase == Phase.ABORTED
    assert aborted.closure.abort_metadata is not None
    assert aborted.closure.abort_metadata.principal == "somebody"


def test_a_workflow_is_executed_by_its_launch_plans(admin: FlyteAdmin, remote: FlyteRemote) -> None:
    outputs = {}
    for plan, inputs in (
        (f"{PROGRAMS}.twice", {"x": 3.0}),
        (f"{PROGRAMS}.twice", {"x": 3.0, "offset": 1}),
        ("fixed_offset", {"x": 3.0}),
    ):
        fetched = remote.fetch_launch_plan(name=plan, version=VERSION)
        execution = finish(remote, remote.execute(fetched, inputs))
        outputs[plan, *inputs] = execution.outputs["o0"]
        assert len(execution.node_executions) == 2

    assert list(outputs.values()) == [((3.0 - 1) ** 2 + 3 - 1) ** 2 + 3, 17.0, 9.0]


def test_a_failed_workflow_is_cleaned_up(admin: FlyteAdmin, remote: FlyteRemote) -> None:
    plan = remote.fetch_launch_plan(name=f"{PROGRAMS}.fail_cleanly", version=VERSION)
    execution = finish(remote, remote.execute(plan, {"x": 1.5}, execution_name="clean"))

    assert execution.error is not None
    assert "ValueError: bad x=1.5" in execution.error.message
    tasks = [each.task for each in admin.executed if each.execution == "clean"]
    assert tasks == [f"{PROGRAMS}.fail", f"{PROGRAMS}.clean_up"]


def test_what_the_cluster_does_not_know_fails_and_is_noted(flyte_zygote: Zygote) -> None:
    with FlyteAdmin(zygote=flyte_zygote) as admin:
        admin.register(PROGRAMS, "unfold")
        execute(open_remote(admin), "unfold", "unfolds", {"x": 3.0})
        admin.wait_for("unfolds", "FAILED")

    assert admin.unknown == [f"unfolds: dynamic workflow {PROGRAMS}.unfold"]


def test_an_eager_parent_runs_its_children_without_a_slot_of_its_own(
    flyte_zygote: Zygote,
) -> None:
    with FlyteAdmin(zygote=flyte_zygote, slots=1) as admin:
        admin.register(PROGRAMS, "half", "sum_of_halves")
        execute(open_remote(admin), "sum_of_halves", "parent", {"count": 2})
        parent = admin.wait_for("parent", "SUCCEEDED")

    assert parent.outputs == {"o0": 0.5}
    children = [each for each in admin.executed if each.task == f"{PROGRAMS}.half"]
    assert len({each.execution for each in children}) == len(children) == 2


def test_a_late_node_of_a_workflow_fails(admin: FlyteAdmin, remote: FlyteRemote) -> None:
    errors = {}
    for name in ("nap", "naps"):
        fetched = remote.fetch_launch_plan(name=f"{PROGRAMS}.{name}", version=VERSION)
        remote.execute(fetched, {"seconds": 100.0}, execution_name=name)
    for name in ("nap", "naps"):
        errors[name] = admin.wait_for(name, "FAILED").error

    assert errors["nap"].code == "RetriesExhausted|TimeoutExpired"
    assert errors["nap"].message.endswith("task execution timeout [1s] expired")
    assert (errors["naps"].code, errors["naps"].message) == ("Timeout", "Timeout in node")
    assert list_attempts(admin, "naps") == [0, 1]


def test_a_late_task_that_is_executed_by_itself_goes_on(
    admin: FlyteAdmin, remote: FlyteRemote
) -> None:
    execution = finish(remote, execute(remote, "oversleep", "oversleeps", {"seconds": 1.2}))

    assert execution.outputs["o0"] == 1.2
