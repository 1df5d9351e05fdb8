"""Where every RPC comes in: counted, checked, befallen by faults, and acted upon."""

from collections.abc import Callable
from typing import Any

import grpc

from tests.flyte_admin import about, entities, executions, files, nodes
from tests.flyte_admin.contract import Rpc, list_rpcs
from tests.flyte_admin.faults import Faults, When, wait_out
from tests.flyte_admin.world import Refused, Unknown, World

# All that are known here, by the names of their RPCs.
OPERATIONS: dict[str, Callable[[World, Any, str], Any]] = {
    **{
        name: lambda world, request, _, act=act: act(world, request)
        for module in (about, entities, executions, files, nodes)
        for name, act in module.OPERATIONS.items()
    },
    **executions.OPERATIONS_OF_SOMEBODY,
}


class Gate(grpc.GenericRpcHandler):
    """All services of flyteidl. What is not known here is refused with UNIMPLEMENTED and noted."""

    def __init__(self, world: World, faults: Faults) -> None:
        self._world = world
        self._faults = faults
        self._rpcs = list_rpcs()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        rpc = self._rpcs.get(details.method)
        if rpc is None:
            return grpc.unary_unary_rpc_method_handler(
                lambda _, context: self._refuse_unknown(context, details.method)
            )
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self._answer(rpc, request, context),
            request_deserializer=rpc.request.FromString,
            response_serializer=rpc.response.SerializeToString,
        )

    def _answer(self, rpc: Rpc, request: Any, context: grpc.ServicerContext) -> Any:
        with self._world.lock:
            self._world.calls[rpc.name] += 1
        principal = self._authenticate(rpc, context)
        self._misbehave(rpc, "before", context)
        response = self._act(rpc, request, principal, context)
        self._misbehave(rpc, "after", context)
        return response

    def _authenticate(self, rpc: Rpc, context: grpc.ServicerContext) -> str:
        """The identifier of the caller's client; nobody's if there is no authentication."""
        if self._world.client is None or rpc.name in about.FOR_EVERYBODY:
            return ""
        metadata = dict(context.invocation_metadata())
        _, _, token = str(metadata.get(about.TOKEN_KEY, "")).partition("Bearer ")
        if token not in self._world.tokens:
            context.abort(
                grpc.StatusCode.UNAUTHENTICATED, "token parse error [JWT_VERIFICATION_FAILED]"
            )
        return self._world.client[0]

    def _misbehave(self, rpc: Rpc, when: When, context: grpc.ServicerContext) -> None:
        fault = self._faults.take(rpc.name, when)
        if fault is None:
            return
        if fault.code is not None:
            context.abort(fault.code, f"The stand-in was told to fail with {fault.code.name}.")
        wait_out(fault, context.is_active)
        if not context.is_active():
            context.abort(grpc.StatusCode.CANCELLED, "The caller did not wait.")

    def _act(self, rpc: Rpc, request: Any, principal: str, context: grpc.ServicerContext) -> Any:
        try:
            with self._world.lock:
                return self._operate(rpc.name, request, principal)
        except Refused as refusal:
            context.abort(refusal.code, str(refusal))
        except Unknown as unknown:
            self._refuse_unknown(context, f"{rpc.name}: {unknown}")

    def _operate(self, name: str, request: Any, principal: str) -> Any:
        if name not in OPERATIONS:
            raise Unknown("this RPC")
        return OPERATIONS[name](self._world, request, principal)

    def _refuse_unknown(self, context: grpc.ServicerContext, what: str) -> None:
        with self._world.lock:
            self._world.unknown.append(what)
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"The stand-in does not know {what}.")
