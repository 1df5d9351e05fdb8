"""flyteidl's services as tables: which RPCs there are and what they take and answer."""

from dataclasses import dataclass
from typing import Any

from flyteidl.service import admin_pb2, auth_pb2, dataproxy_pb2, identity_pb2, signal_pb2
from google.protobuf.message_factory import GetMessageClass

_MODULES = (admin_pb2, auth_pb2, dataproxy_pb2, identity_pb2, signal_pb2)


@dataclass(frozen=True, slots=True)
class Rpc:
    name: str
    request: Any
    response: Any


def list_rpcs() -> dict[str, Rpc]:
    """By path, as in "/flyteidl.service.AdminService/GetTask"."""
    return {
        f"/{service.full_name}/{method.name}": Rpc(
            method.name,
            GetMessageClass(method.input_type),
            GetMessageClass(method.output_type),
        )
        for module in _MODULES
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
