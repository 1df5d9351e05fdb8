"""What the stand-in for flyteadmin takes, keeps, lists and refuses, seen by the real client."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import grpc
import pytest
from flyteidl.admin.common_pb2 import ObjectGetRequest
from flyteidl.admin.execution_pb2 import ExecutionCreateRequest, ExecutionSpec
from flyteidl.admin.task_pb2 import TaskCreateRequest
from flyteidl.core.identifier_pb2 import Identifier, ResourceType
from flyteidl.service.admin_pb2_grpc import AdminServiceStub
from flytekit.core.options import Options
from flytekit.models.admin.common import Sort
from flytekit.models.common import Annotations, Labels, RawOutputDataConfig
from flytekit.models.core.execution import WorkflowExecutionPhase as Phase
from flytekit.models.core.identifier import NodeExecutionIdentifier, WorkflowExecutionIdentifier
from flytekit.models.filters import Equal, Filter, ValueIn
from flytekit.models.security import Identity, SecurityContext
from flytekit.remote import FlyteRemote

from tests.flyte.remotes import find_code, open_remote
from tests.flyte_admin import FlyteAdmin
from tests.flyte_admin.admin import DOMAIN, PROJECT, VERSION
from tests.flyte_admin.literals import write_values

_OLDEST_FIRST = Sort("created_at", Sort.Direction.ASCENDING)


@pytest.fixture
def admin(flyte_admin: FlyteAdmin) -> Iterator[FlyteAdmin]:
    """One with tasks that have no programs."""
    flyte_admin.plant_task("train", inputs={"x": float, "seed": int}, outputs={"o0": float})
    flyte_admin.plant_task("rest", inputs={})
    return flyte_admin


@pytest.fixture
def begin(remote: FlyteRemote) -> Callable[..., Any]:
    """Begins an execution of "rest"."""

    def begin(name: str, labels: dict[str, str] | None = None, **settings: Any) -> Any:
        task = remote.fetch_task(name="rest", version=VERSION)
        options = Options(labels=Labels(labels or {}))
        return remote.execute(task, {}, execution_name=name, options=options, **settings)

    return begin


def test_what_was_asked_for_is_kept(admin: FlyteAdmin, remote: FlyteRemote) -> None:
    remote.execute(
        remote.fetch_task(name="train", version=VERSION),
        {"x": 0.5, "seed": 7},
        execution_name="asked",
        envs={"ASKTELL_URL": "http://here"},
        tags=["asktell"],
        overwrite_cache=True,
        interruptible=True,
        cluster_pool="gpus",
        execution_cluster_label="west",
        options=Options(
            labels=Labels({"asktell.study": "7"}),
            annotations=Annotations({"note": "free text"}),
            raw_output_data_config=RawOutputDataConfig("s3://bucket/raw"),
            max_parallelism=3,
            security_context=SecurityContext(run_as=Identity(k8s_service_account="trainer")),
        ),
    )

    record = admin.executions["asked"]
    assert record.inputs == {"x": 0.5, "seed": 7}
    assert record.envs == {"ASKTELL_URL": "http://here"}
    assert record.labels == {"asktell.study": "7"}
    assert list(record.spec.tags) == ["asktell"]
    assert dict(record.spec.annotations.values) == {"note": "free text"}
    assert record.spec.overwrite_cache
    assert record.spec.interruptible.value
    assert record.spec.cluster_assignment.cluster_pool_name == "gpus"
    assert record.spec.execution_cluster_label.value == "west"
    assert record.spec.raw_output_data_config.output_location_prefix == "s3://bucket/raw"
    assert record.spec.max_parallelism == 3
    assert record.spec.security_context.run_as.k8s_service_account == "trainer"


def test_a_planted_task_ends_as_the_test_says(
    admin: FlyteAdmin, remote: FlyteRemote, begin: Callable[..., Any]
) -> None:
    executions = {name: begin(name) for name in ("good", "bad", "late", "unwanted")}
    admin.succeed("good", o0=0.5)
    admin.fail("bad", "no luck")
    admin.time_out("late")
    admin.abort("unwanted", "enough")

    found = {
        name: remote.wait(execution, poll_interval=timedelta(seconds=0.05))
        for name, execution in executions.items()
    }
    assert {name: execution.closure.phase for name, execution in found.items()} == {
        "good": Phase.SUCCEEDED,
        "bad": Phase.FAILED,
        "late": Phase.TIMED_OUT,
        "unwanted": Phase.ABORTED,
    }
    assert admin.executions["good"].outputs == {"o0": 0.5}
    assert admin.executions["bad"].error.message == "no luck"
    assert admin.executed == []


@pytest.mark.parametrize("name", ["Ünder", "under_score", "9lives", "-dash", "a" * 64])
def test_names_that_flyte_does_not_take_are_refused(begin: Callable[..., Any], name: str) -> None:
    assert find_code(lambda: begin(name)) == grpc.StatusCode.INVALID_ARGUMENT


def test_a_long_name_is_taken(admin: FlyteAdmin, begin: Callable[..., Any]) -> None:
    begin("a" * 63)

    assert list(admin.executions) == ["a" * 63]


@pytest.mark.parametrize(
    "labels",
    [
        {"study": "has blanks"},
        {"study": "x" * 64},
        {"-study": "7"},
        {"UPPER/study": "7"},
        {f"label{number}": "7" for number in range(17)},
    ],
)
def test_labels_that_kubernetes_does_not_take_are_refused(
    begin: Callable[..., Any], labels: dict[str, str]
) -> None:
    assert find_code(lambda: begin("labelled", labels)) == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    "inputs",
    [
        {"x": 0.5},
        {"x": 0.5, "seed": 1, "other": 1},
        {"x": 1, "seed": 1},
        {"x": 0.5, "seed": "1"},
    ],
    ids=["missing", "unknown", "integer for a float", "text for an integer"],
)
def test_inputs_must_be_those_of_the_task(admin: FlyteAdmin, inputs: dict[str, Any]) -> None:
    request = build_request("train", inputs)

    code = find_code(lambda: open_stub(admin).CreateExecution(request))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert admin.executions == {}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"task": "unknown"}, grpc.StatusCode.NOT_FOUND),
        ({"project": "unknown"}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"domain": "unknown"}, grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
def test_what_is_not_there_is_refused(
    admin: FlyteAdmin, changes: dict[str, str], code: grpc.StatusCode
) -> None:
    request = build_request(changes.pop("task", "rest"), {}, **changes)

    assert find_code(lambda: open_stub(admin).CreateExecution(request)) == code


def test_a_name_is_taken_once_and_for_ever(
    admin: FlyteAdmin, remote: FlyteRemote, begin: Callable[..., Any]
) -> None:
    begin("once", {"number": "1"})
    admin.succeed("once")
    admin.wait_for("once", "SUCCEEDED")
    request = build_request("rest", {}, name="once")

    code = find_code(lambda: open_stub(admin).CreateExecution(request))
    assert code == grpc.StatusCode.ALREADY_EXISTS
    # The client hides it, and gives back the old one.
    assert begin("once", {"number": "2"}).spec.labels.values == {"number": "1"}
    assert admin.calls["CreateExecution"] == 3


def test_a_version_is_registered_once(admin: FlyteAdmin) -> None:
    stub = open_stub(admin)
    task = stub.GetTask(ObjectGetRequest(id=name_task("train")))
    request = TaskCreateRequest(id=task.id)
    request.spec.template.interface.CopyFrom(task.closure.compiled_task.template.interface)

    assert find_code(lambda: stub.CreateTask(request)) == grpc.StatusCode.ALREADY_EXISTS
    request.spec.template.container.image = "another"
    assert find_code(lambda: stub.CreateTask(request)) == grpc.StatusCode.INVALID_ARGUMENT


def test_executions_are_listed_by_one_label_or_tag(
    remote: FlyteRemote, begin: Callable[..., Any]
) -> None:
    begin("first", {"study": "7", "trial": "1"})
    begin("second", {"study": "7", "trial": "2"})
    begin("other", {"study": "8", "trial": "1"})
    begin("tagged", tags=["asktell", "7"])

    def ask(*filters: Filter) -> list[str]:
        found, _ = remote.client.list_executions_paginated(
            PROJECT, DOMAIN, filters=list(filters), sort_by=_OLDEST_FIRST
        )
        return [execution.id.name for execution in found]

    key, value = "execution_tag.key", "execution_tag.value"
    assert ask(ValueIn(key, ["study"]), ValueIn(value, ["7"])) == ["first", "second"]
    assert ask(ValueIn(key, ["study"]), ValueIn(value, ["7", "8"])) == ["first", "second", "other"]
    assert ask(Equal(key, "asktell")) == ["tagged"]
    assert ask(Equal("name", "other")) == ["other"]
    # One row of the table of tags has to have it all, and each such row counts.
    assert ask(Equal(key, "study"), Equal(key, "trial")) == []
    assert ask(ValueIn(key, ["study", "trial"]), Equal("name", "first")) == ["first", "first"]


def test_lists_come_in_pages(remote: FlyteRemote, begin: Callable[..., Any]) -> None:
    names = [f"number-{number}" for number in range(4)]
    for name in names:
        begin(name)

    pages, token = [], ""
    for _ in range(3):
        page, token = remote.client.list_executions_paginated(
            PROJECT, DOMAIN, limit=2, token=token, sort_by=_OLDEST_FIRST
        )
        pages.append([execution.id.name for execution in page])
    # A full page does not know that it is the last one.
    assert pages == [names[:2], names[2:], []]
    assert token == ""
    code = find_code(lambda: remote.client.list_executions_paginated(PROJECT, DOMAIN, limit=0))
    assert code == grpc.StatusCode.INVALID_ARGUMENT


def test_without_an_order_what_changed_comes_last(
    admin: FlyteAdmin, remote: FlyteRemote, begin: Callable[..., Any]
) -> None:
    for name in ("first", "second"):
        begin(name)
        admin.wait_for(name, "RUNNING")
    admin.succeed("first")
    admin.wait_for("first", "SUCCEEDED")

    found, _ = remote.client.list_executions_paginated(PROJECT, DOMAIN)
    assert [execution.id.name for execution in found] == ["second", "first"]
    assert [each.id.name for each in remote.recent_executions()] == ["second", "first"]


def test_errors_are_cut_in_lists_only(
    admin: FlyteAdmin, remote: FlyteRemote, begin: Callable[..., Any]
) -> None:
    execution = begin("long")
    admin.fail("long", "x" * 500)
    admin.wait_for("long", "FAILED")

    listed = remote.recent_executions()[0]
    assert listed.error is not None
    assert listed.error.message == "x" * 100
    assert len(remote.client.get_execution(execution.id).closure.error.message) == 500


def test_the_last_cause_counts_as_long_as_an_execution_is_aborting(
    admin: FlyteAdmin, begin: Callable[..., Any]
) -> None:
    begin("twice")
    record = admin.executions["twice"]
    with admin.world.lock:
        admin.abort("twice", "first", "one")
        admin.world.enter(record, "RUNNING")
        assert record.phase == "ABORTING"
        admin.abort("twice", "second", "another")

    admin.wait_for("twice", "ABORTED")
    admin.world.enter(record, "SUCCEEDED")
    assert record.phase == "ABORTED"
    assert (record.abort_cause, record.message.closure.abort_metadata.principal) == (
        "second",
        "another",
    )


def test_executions_wait_for_slots_and_can_be_aborted_there() -> None:
    with FlyteAdmin(slots=1) as admin:
        admin.plant_task("rest", inputs={})
        stub = open_stub(admin)
        for name in ("runs", "waits", "follows"):
            stub.CreateExecution(build_request("rest", {}, name=name))
            if name == "runs":
                admin.wait_for("runs", "RUNNING")
        assert admin.executions["waits"].phase == "QUEUED"
        admin.abort("waits", "not needed")
        admin.wait_for("waits", "ABORTED")
        admin.succeed("runs")
        admin.wait_for("follows", "RUNNING")

        assert not admin.executions["waits"].message.closure.HasField("started_at")


@pytest.mark.parametrize(
    "ask",
    [
        lambda remote: remote.client.get_node_execution_data(build_node_id()),
        lambda remote: remote.client.get_execution(build_node_id().execution_id),
        lambda remote: remote.fetch_task(name="unknown", version=VERSION),
        lambda remote: remote.fetch_launch_plan(name="unknown", version=VERSION),
    ],
)
def test_what_nobody_made_is_not_found(
    remote: FlyteRemote, ask: Callable[[FlyteRemote], Any]
) -> None:
    assert find_code(lambda: ask(remote)) == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    "ask",
    [
        lambda remote: remote.client.relaunch_execution(build_node_id().execution_id),
        lambda remote: remote.client.list_executions_paginated(
            PROJECT, DOMAIN, filters=[Equal("duration", "7")]
        ),
        lambda remote: remote.list_tasks_by_version(VERSION),
        lambda remote: remote.list_signals("any", PROJECT, DOMAIN),
    ],
)
def test_what_the_stand_in_does_not_know_is_refused_and_noted(
    ask: Callable[[FlyteRemote], Any],
) -> None:
    with FlyteAdmin() as admin:
        remote = open_remote(admin)
        assert find_code(lambda: ask(remote)) == grpc.StatusCode.UNIMPLEMENTED
        assert len(admin.unknown) == 1


def open_stub(admin: FlyteAdmin) -> AdminServiceStub:
    """For requests that the client would not send."""
    return AdminServiceStub(grpc.insecure_channel(admin.endpoint))


def name_task(name: str) -> Identifier:
    return Identifier(
        resource_type=ResourceType.TASK,
        project=PROJECT,
        domain=DOMAIN,
        name=name,
        version=VERSION,
    )


def build_request(task: str, inputs: dict[str, Any], **fields: str) -> ExecutionCreateRequest:
    spec = ExecutionSpec(launch_plan=name_task(task))
    names = {"project": PROJECT, "domain": DOMAIN, **fields}
    return ExecutionCreateRequest(spec=spec, inputs=write_values(inputs), **names)


def build_node_id() -> NodeExecutionIdentifier:
    """Of an execution that is not there."""
    execution = WorkflowExecutionIdentifier(PROJECT, DOMAIN, "unknown")
    return NodeExecutionIdentifier("n0", execution)
