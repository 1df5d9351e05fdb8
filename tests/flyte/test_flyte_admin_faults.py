"""How the stand-in for flyteadmin fails, as tests say, and what the real client makes of it."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import grpc
import httpx
import pytest
from flyteidl.admin.execution_pb2 import WorkflowExecutionGetRequest
from flyteidl.admin.version_pb2 import GetVersionRequest
from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier
from flyteidl.service.admin_pb2_grpc import AdminServiceStub
from flytekit.clients.grpc_utils.deadline_interceptor import scoped_grpc_deadline
from flytekit.configuration import ImageConfig, SerializationSettings
from flytekit.core.launch_plan import LaunchPlan
from flytekit.exceptions.base import FlyteException
from flytekit.models.common import NamedEntityIdentifier
from flytekit.models.core.execution import NodeExecutionPhase as NodePhase
from flytekit.models.core.execution import TaskExecutionPhase as TaskPhase
from flytekit.models.core.execution import WorkflowExecutionPhase as Phase
from flytekit.models.core.identifier import (
    Identifier,
    NodeExecutionIdentifier,
    ResourceType,
)
from flytekit.models.launch_plan import LaunchPlanState
from flytekit.remote import FlyteRemote

from tests.flyte import programs
from tests.flyte.remotes import PROGRAMS, execute, find_code, open_remote
from tests.flyte_admin import FlyteAdmin, Zygote
from tests.flyte_admin.about import FOR_EVERYBODY
from tests.flyte_admin.admin import DOMAIN, PROJECT, VERSION
from tests.flyte_admin.faults import When
from tests.flyte_admin.gate import OPERATIONS

_CLIENT = ("asktell", "made-up secret")
_UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@pytest.fixture
def admin(flyte_admin: FlyteAdmin) -> FlyteAdmin:
    """One with a task that has no program."""
    flyte_admin.plant_task("rest", inputs={})
    return flyte_admin


@pytest.fixture
def guarded_admin() -> Iterator[FlyteAdmin]:
    """One that lets in a single client."""
    with FlyteAdmin(client=_CLIENT) as admin:
        admin.plant_task("rest", inputs={})
        yield admin


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("rpc", sorted(OPERATIONS.keys() - FOR_EVERYBODY))
def test_the_client_gets_over_one_failure_of_any_rpc(
    admin: FlyteAdmin, tmp_path: Path, rpc: str, when: When
) -> None:
    admin.break_(rpc, _UNAVAILABLE, when=when)
    use_everything(open_remote(admin, retries=3), admin, tmp_path)

    assert admin.calls[rpc] >= 2
    phases = {name: record.phase for name, record in admin.executions.items()}
    assert phases == {"ends": "SUCCEEDED", "unwanted": "ABORTED"}
    tasks = [name for _, _, name, _ in admin.world.tasks]
    assert tasks == ["rest", f"{PROGRAMS}.oversleep"]


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code.name != "OK"])
def test_every_code_arrives(admin: FlyteAdmin, code: grpc.StatusCode) -> None:
    admin.break_("GetVersion", code)
    admin.break_("*", code, when="after")
    stub = AdminServiceStub(grpc.insecure_channel(admin.endpoint))

    assert find_code(lambda: stub.GetVersion(GetVersionRequest())) == code
    assert find_code(lambda: stub.GetVersion(GetVersionRequest())) == code
    assert find_code(lambda: stub.GetVersion(GetVersionRequest())) is None


def test_a_failure_before_the_work_leaves_nothing(admin: FlyteAdmin) -> None:
    admin.break_("CreateExecution", _UNAVAILABLE, times=None)
    task = open_remote(admin).fetch_task(name="rest", version=VERSION)

    for _ in range(3):
        code = find_code(lambda: open_remote(admin).execute(task, execution_name="one"))
        assert code == _UNAVAILABLE
    assert admin.executions == {}
    admin.recover()
    open_remote(admin).execute(task, execution_name="one")
    assert list(admin.executions) == ["one"]


def test_a_lost_answer_makes_the_client_begin_twice_unless_there_is_a_name(
    admin: FlyteAdmin,
) -> None:
    remote = open_remote(admin, retries=3)
    task = remote.fetch_task(name="rest", version=VERSION)
    admin.break_("CreateExecution", _UNAVAILABLE, when="after")
    remote.execute(task, {}, execution_name="one")
    assert list(admin.executions) == ["one"]

    admin.break_("CreateExecution", _UNAVAILABLE, when="after")
    remote.execute(task, {})
    assert len(admin.executions) == 3


@pytest.mark.parametrize(("when", "begun"), [("before", []), ("after", ["one"])])
def test_callers_give_up_on_calls_that_hang(
    admin: FlyteAdmin, when: When, begun: list[str]
) -> None:
    remote = open_remote(admin)
    task = remote.fetch_task(name="rest", version=VERSION)
    admin.hang("CreateExecution", when=when)

    with scoped_grpc_deadline(0.3):
        code = find_code(lambda: remote.execute(task, {}, execution_name="one"))
    assert code == grpc.StatusCode.DEADLINE_EXCEEDED
    admin.go_down()
    assert list(admin.executions) == begun


@pytest.mark.parametrize(("when", "given"), [("before", 0), ("after", 1)])
def test_callers_give_up_on_tokens_that_hang(
    guarded_admin: FlyteAdmin, when: When, given: int
) -> None:
    guarded_admin.hang("token", when=when)
    url = f"{guarded_admin.world.files_url}/oauth2/token"
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(url, auth=("asktell", "made-up+secret"), timeout=0.3)

    assert len(guarded_admin.world.tokens) == given


def test_a_slow_call_is_answered(admin: FlyteAdmin) -> None:
    remote = open_remote(admin)
    admin.hang("GetVersion", 0.1, times=2)

    assert [remote.client.get_control_plane_version() for _ in range(3)] == ["stand-in"] * 3


def test_while_admin_is_down_its_cluster_goes_on(flyte_zygote: Zygote) -> None:
    with FlyteAdmin(zygote=flyte_zygote) as admin:
        admin.register(PROGRAMS, "sleep")
        remote = open_remote(admin)
        execution = execute(remote, "sleep", "short", {"seconds": 0.3})
        endpoint = admin.endpoint
        admin.go_down()
        code = find_code(lambda: remote.client.get_execution(execution.id))
        admin.wait_for("short", "SUCCEEDED")
        admin.come_back()

        assert code == _UNAVAILABLE
        assert admin.endpoint == endpoint
        stub = AdminServiceStub(grpc.insecure_channel(endpoint))
        identifier = WorkflowExecutionIdentifier(project=PROJECT, domain=DOMAIN, name="short")
        found = stub.GetExecution(WorkflowExecutionGetRequest(id=identifier))
        assert found.closure.phase == Phase.SUCCEEDED


def test_calls_that_hang_end_when_admin_goes_down(admin: FlyteAdmin) -> None:
    remote = open_remote(admin)
    admin.hang("GetVersion")
    call = AdminServiceStub(grpc.insecure_channel(admin.endpoint)).GetVersion.future(
        GetVersionRequest()
    )
    admin.wait_until(lambda: admin.calls["GetVersion"])
    admin.go_down()

    assert call.code() == _UNAVAILABLE
    admin.recover()
    assert find_code(remote.client.get_control_plane_version) is None


def test_clients_come_in_with_credentials(guarded_admin: FlyteAdmin) -> None:
    remote = open_remote(guarded_admin, client=_CLIENT)
    remote.execute(remote.fetch_task(name="rest", version=VERSION), {}, execution_name="one")
    assert guarded_admin.calls["token"] == 1
    assert guarded_admin.executions["one"].spec.metadata.principal == "asktell"

    guarded_admin.revoke_tokens()
    assert remote.client.get_control_plane_version() == "stand-in"
    assert guarded_admin.calls["token"] == 2
    remote.terminate(remote.fetch_execution(name="one"), "enough")
    guarded_admin.wait_for("one", "ABORTED")
    metadata = guarded_admin.executions["one"].message.closure.abort_metadata
    assert metadata.principal == "asktell"


@pytest.mark.parametrize("client", [("asktell", "wrong"), ("somebody", "made-up secret")])
def test_clients_without_the_right_credentials_stay_outside(
    guarded_admin: FlyteAdmin, client: tuple[str, str]
) -> None:
    remote = open_remote(guarded_admin, client=client)
    with pytest.raises(FlyteException, match="invalid_client"):
        remote.fetch_task(name="rest", version=VERSION)

    stub = AdminServiceStub(grpc.insecure_channel(guarded_admin.endpoint))
    code = find_code(lambda: stub.GetVersion(GetVersionRequest()))
    assert code == grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", ["token", *sorted(FOR_EVERYBODY)])
def test_clients_stay_outside_while_nobody_gives_out_tokens(
    guarded_admin: FlyteAdmin, name: str, when: When
) -> None:
    guarded_admin.break_(name, _UNAVAILABLE, when=when, times=None)
    remote = open_remote(guarded_admin, client=_CLIENT)
    with pytest.raises((FlyteException, grpc.RpcError)):
        remote.fetch_task(name="rest", version=VERSION)
    assert guarded_admin.calls[name] > 0

    guarded_admin.recover()
    remote = open_remote(guarded_admin, client=_CLIENT)
    assert remote.fetch_task(name="rest", version=VERSION).name == "rest"


@pytest.mark.parametrize("when", ["before", "after"])
def test_uploads_fail(admin: FlyteAdmin, tmp_path: Path, when: When) -> None:
    remote, path = open_remote(admin), tmp_path / "code.tar.gz"
    path.write_bytes(b"code")
    admin.break_("upload", _UNAVAILABLE, when=when)
    with pytest.raises(FlyteException, match="503"):
        remote.upload_file(path)

    assert len(list((admin.world.root / "uploads").rglob("code.tar.gz"))) == (when == "after")
    _, url = remote.upload_file(path)
    assert Path(url).read_bytes() == b"code"


def use_everything(remote: FlyteRemote, admin: FlyteAdmin, folder: Path) -> None:
    """Every RPC that admin knows, but for those of authentication."""
    register(remote)
    read_about(remote)
    (folder / "code").write_bytes(b"code")
    remote.upload_file(folder / "code")
    run_to_the_end(remote, admin)
    terminate(remote)
    assert len(remote.recent_executions()) == 2
    missing = OPERATIONS.keys() - FOR_EVERYBODY - admin.calls.keys()
    assert missing == set()


def register(remote: FlyteRemote) -> None:
    settings = SerializationSettings(
        ImageConfig.auto(img_name="example.com/stand-in:1"),
        project=PROJECT,
        domain=DOMAIN,
        version=VERSION,
    )
    remote.register_workflow(programs.nap, settings, VERSION)
    plan = LaunchPlan.get_default_launch_plan(remote.context, programs.nap)
    remote.fetch_launch_plan(name=plan.name, version=VERSION)
    identifier = Identifier(ResourceType.LAUNCH_PLAN, PROJECT, DOMAIN, plan.name, VERSION)
    remote.client.update_launch_plan(identifier, LaunchPlanState.ACTIVE)
    name = NamedEntityIdentifier(PROJECT, DOMAIN, plan.name)
    found, _ = remote.client.list_launch_plans_paginated(name)
    assert [each.id.name for each in found] == [plan.name]


def read_about(remote: FlyteRemote) -> None:
    names, _ = remote.client.list_task_ids_paginated(PROJECT, DOMAIN)
    assert [each.name for each in names] == ["rest", f"{PROGRAMS}.oversleep"]
    projects, _ = remote.client.list_projects_paginated()
    assert [project.id for project in projects] == [PROJECT]
    assert DOMAIN in [domain.id for domain in remote.client.get_domains()]
    assert remote.client.get_control_plane_version() == "stand-in"


def run_to_the_end(remote: FlyteRemote, admin: FlyteAdmin) -> None:
    latest = remote.fetch_task(name="rest")
    execution = remote.execute(latest, {}, execution_name="ends")
    admin.succeed("ends")
    admin.wait_for("ends", "SUCCEEDED")
    execution = remote.wait(execution, poll_interval=timedelta(seconds=0.05))
    node = NodeExecutionIdentifier("n0", execution.id)
    assert remote.client.get_node_execution(node).closure.phase == NodePhase.SUCCEEDED
    (attempt,), _ = remote.client.list_task_executions_paginated(node)
    attempt = remote.client.get_task_execution(attempt.id)
    assert attempt.closure.phase == TaskPhase.SUCCEEDED
    assert remote.client.get_task_execution_data(attempt.id).full_outputs.literals == {}


def terminate(remote: FlyteRemote) -> None:
    """Repeated after a lost answer, it may come too late."""
    task = remote.fetch_task(name="rest", version=VERSION)
    execution = remote.execute(task, {}, execution_name="unwanted")
    code = find_code(lambda: remote.terminate(execution, "enough"))
    assert code in (None, grpc.StatusCode.FAILED_PRECONDITION)
    remote.wait(execution, poll_interval=timedelta(seconds=0.05))
