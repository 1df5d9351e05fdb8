"""The stand-in as a whole, and what tests do to it."""

import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import grpc
from flyteidl.admin.execution_pb2 import ExecutionTerminateRequest
from flyteidl.admin.task_pb2 import TaskCreateRequest
from flyteidl.core.execution_pb2 import ExecutionError
from flyteidl.core.identifier_pb2 import Identifier, ResourceType
from flyteidl.core.types_pb2 import LiteralType, SimpleType

from tests.flyte_admin import programs
from tests.flyte_admin.cluster import TIMED_OUT, Cluster
from tests.flyte_admin.entities import create_task
from tests.flyte_admin.executions import terminate_execution
from tests.flyte_admin.faults import Fault, Faults, When
from tests.flyte_admin.files import FileServer
from tests.flyte_admin.gate import Gate
from tests.flyte_admin.literals import write_values
from tests.flyte_admin.ports import bind
from tests.flyte_admin.records import Executed, ExecutionRecord, OutputsGiven
from tests.flyte_admin.server import Server
from tests.flyte_admin.tasks import TaskRunner, build_image_environment
from tests.flyte_admin.world import World

PROJECT, DOMAIN, VERSION = "flytesnacks", "development", "v1"

_REPOSITORY = Path(__file__).parents[2]
_PATIENCE_SECONDS = 100
_SIMPLE_TYPES = {
    float: SimpleType.Value("FLOAT"),
    int: SimpleType.Value("INTEGER"),
    str: SimpleType.Value("STRING"),
    bool: SimpleType.Value("BOOLEAN"),
}


class FlyteAdmin:
    """flyteadmin on a loopback port, which stays the same while it is down, and its cluster.

    Attributes:
        world: Everything it remembers; the properties below are shorter ways to it.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        zygote: programs.Zygote | None = None,
        client: tuple[str, str] | None = None,
        slots: int = 4,
        grace_seconds: float = 1,
    ) -> None:
        """
        Args:
            zygote: Forks the programs of tasks; None starts each by itself, which takes seconds.
            client: Identifier and secret of the one who may come in; None lets everybody in.
            slots: How many executions run at a time, eager parents not counted.
            grace_seconds: How long aborted programs may take before they are killed.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="flyte-admin-")
        self._reservations = (bind(port), bind(0))
        self.world = World(
            root=Path(self._folder.name),
            files_url=f"http://127.0.0.1:{self._reservations[1].getsockname()[1]}",
            client=client,
        )
        self._faults = Faults()
        self._zygote = zygote
        runner = TaskRunner(
            world=self.world,
            environment=build_image_environment((_REPOSITORY,)),
            describe_admin=self.build_environment,
            zygote=zygote,
            grace_seconds=grace_seconds,
        )
        self._cluster = Cluster(self.world, runner, slots)
        self._servers: tuple[Server, FileServer] | None = None

    def __enter__(self) -> Self:
        self._cluster.start()
        self.come_back()
        return self

    def __exit__(self, *_: object) -> None:
        self.recover()
        self.go_down()
        self._cluster.close()
        for reservation in self._reservations:
            reservation.close()
        self._folder.cleanup()

    @property
    def endpoint(self) -> str:
        """As in "127.0.0.1:30080"; without TLS."""
        return f"127.0.0.1:{self._reservations[0].getsockname()[1]}"

    @property
    def calls(self) -> Counter[str]:
        """How often each RPC came, answered or not; "upload" and "token" came by HTTP."""
        with self.world.lock:
            return Counter(self.world.calls)

    @property
    def executions(self) -> dict[str, ExecutionRecord]:
        """By name, in the order of creation."""
        with self.world.lock:
            return {record.name: record for record in self.world.executions.values()}

    @property
    def executed(self) -> list[Executed]:
        """Every program that was ever started, in order."""
        with self.world.lock:
            return list(self.world.executed)

    @property
    def unknown(self) -> list[str]:
        """What came and is not known here: must stay empty."""
        with self.world.lock:
            return list(self.world.unknown)

    def build_environment(self) -> dict[str, str]:
        """The variables with which flytekit comes here."""
        environment = {"FLYTE_PLATFORM_URL": self.endpoint, "FLYTE_PLATFORM_INSECURE": "true"}
        if self.world.client is not None:
            identifier, secret = self.world.client
            environment |= {
                "FLYTE_CREDENTIALS_AUTH_MODE": "client_credentials",
                "FLYTE_CREDENTIALS_CLIENT_ID": identifier,
                "FLYTE_CREDENTIALS_CLIENT_SECRET": secret,
            }
        return environment

    # Faults.

    def break_(
        self, rpc: str, code: grpc.StatusCode, *, when: When = "before", times: int | None = 1
    ) -> None:
        """Calls of that RPC get this code.

        Args:
            rpc: Its name, "upload", "token" (both answer 503), or "*" for whatever comes.
            when: Before the work, which is then not done, or after it.
            times: How many calls; None is all until `recover`.
        """
        self._faults.add(rpc, Fault(when=when, code=code, left=times))

    def hang(
        self,
        rpc: str,
        seconds: float | None = None,
        *,
        when: When = "before",
        times: int | None = 1,
    ) -> None:
        """Calls of that RPC take this long, or until `recover`.

        Before the work, it is done only if the caller is still there.
        """
        self._faults.add(rpc, Fault(when=when, seconds=seconds, left=times))

    def recover(self) -> None:
        """Ends all faults and comes back."""
        self._faults.clear()
        self.come_back()

    def go_down(self) -> None:
        """Closes ports and connections: refused until `come_back`. The cluster goes on."""
        if self._servers is not None:
            for server in self._servers:
                server.stop()
            self._servers = None

    def come_back(self) -> None:
        if self._servers is None:
            port, files_port = (each.getsockname()[1] for each in self._reservations)
            self._servers = (
                Server(Gate(self.world, self._faults), port),
                FileServer(self.world, self._faults, files_port),
            )

    def revoke_tokens(self) -> None:
        """Those that were given out are good no longer."""
        with self.world.lock:
            self.world.tokens.clear()

    # Tasks.

    def register(self, module: str, *names: str, version: str = VERSION) -> None:
        """Registers tasks, workflows and launch plans of a module with the genuine client.

        This process need not import flytekit for it. Tasks are called "module.function", and
        programs find the module as long as it is below the repository.

        Args:
            names: Of variables of the module; none means everything in it.

        Raises:
            ChildProcessError: With the output of the process that tried it.
        """
        folder = Path(tempfile.mkdtemp(dir=self.world.root, prefix="register-"))
        place = programs.Place(
            cwd=folder,
            log=folder / "log.txt",
            environment={
                **build_image_environment((_REPOSITORY,)),
                **self.build_environment(),
                "HOME": str(folder),
                "TMPDIR": str(folder),
            },
        )
        arguments = [PROJECT, DOMAIN, version, module, *names]
        program = programs.call(
            "tests.flyte_admin.registering:register", arguments, place, self._zygote
        )
        if programs.wait(program) != 0:
            raise ChildProcessError(place.log.read_text())

    def plant_task(
        self,
        name: str,
        *,
        inputs: dict[str, type],
        outputs: dict[str, type] | None = None,
        version: str = VERSION,
    ) -> None:
        """A task without a program: its executions run until `succeed`, `fail` or `time_out`.

        Args:
            inputs, outputs: Their types, of float, int, str and bool.
        """
        identifier = Identifier(
            resource_type=ResourceType.TASK,
            project=PROJECT,
            domain=DOMAIN,
            name=name,
            version=version,
        )
        request = TaskCreateRequest(id=identifier)
        interface = request.spec.template.interface
        interface.inputs.SetInParent()
        for types, variables in ((inputs, interface.inputs), (outputs or {}, interface.outputs)):
            for variable, type_ in types.items():
                variables.variables[variable].type.CopyFrom(
                    LiteralType(simple=_SIMPLE_TYPES[type_])
                )
        with self.world.lock:
            create_task(self.world, request)

    def forget_task(self, name: str, version: str = VERSION) -> None:
        """As if it had never been registered."""
        with self.world.lock:
            del self.world.tasks[PROJECT, DOMAIN, name, version]

    def succeed(self, name: str, **outputs: Any) -> None:
        """Ends an execution of a planted task."""
        self.world.tell(self.executions[name], write_values(outputs))

    def give_outputs(self, name: str, how: OutputsGiven) -> None:
        """How those of an execution can be read from now on."""
        with self.world.lock:
            self.executions[name].outputs_given = how

    def fail(
        self,
        name: str,
        message: str,
        *,
        code: str = "USER:RuntimeError",
        kind: int = ExecutionError.USER,
    ) -> None:
        """Ends an execution of a planted task."""
        error = ExecutionError(code=code, message=message, kind=kind)
        self.world.tell(self.executions[name], error)

    def time_out(self, name: str) -> None:
        """Ends an execution of a planted task with the phase TIMED_OUT."""
        self.fail(name, "The execution took too long.", code=TIMED_OUT)

    # Executions.

    def abort(self, name: str, cause: str, principal: str = "") -> None:
        """What a person does in Flyte's pages."""
        request = ExecutionTerminateRequest(id=self.executions[name].message.id, cause=cause)
        with self.world.lock:
            terminate_execution(self.world, request, principal)

    def wait_for(self, name: str, *phases: str) -> ExecutionRecord:
        """Returns as soon as the execution exists and is in one of the phases.

        Raises:
            AssertionError: It ended in another one, or nothing happened for a long time.
        """
        return self.wait_until(lambda: self._find_in_phase(name, phases))

    def wait_until(self, find: Callable[[], Any]) -> Any:
        """What a function finds as soon as it finds something.

        Raises:
            AssertionError: Nothing was found for a long time.
        """
        return self.world.wait_until(find, _PATIENCE_SECONDS)

    def _find_in_phase(self, name: str, phases: tuple[str, ...]) -> ExecutionRecord | None:
        record = self.executions.get(name)
        if record is None or record.phase in phases:
            return record
        assert not record.has_ended, f"{name} is {record.phase}: {record.error}"
        return None

    def read_log(self, name: str, *, node: str = "n0", attempt: int = 0) -> str:
        """What the program of an attempt printed."""
        return (self.executions[name].folder / node / str(attempt) / "log.txt").read_text()
