"""GraphQL requests, each answered by the function that its operation is registered with."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from tests.wandb_backend import account, artifacts, launch, projects, runs, sweep_agents, sweeps
from tests.wandb_backend.selection import Document, parse_document, select
from tests.wandb_backend.world import Answer, Refused, Unknown, Variables, World

Operation: TypeAlias = Callable[[World, Variables], Answer]
OPERATIONS: Mapping[str, Operation] = {
    **account.OPERATIONS,
    **projects.OPERATIONS,
    **runs.OPERATIONS,
    **sweeps.OPERATIONS,
    **sweep_agents.OPERATIONS,
    **launch.OPERATIONS,
    **artifacts.OPERATIONS,
}


def answer(world: World, document: Document, variables: Variables) -> tuple[int, Answer]:
    """Status and body. What is not known here is refused and noted down."""
    operation = OPERATIONS.get(document.name)
    if operation is None:
        return _refuse_unknown(world, f"{document.kind} {document.name}")
    try:
        return 200, {"data": select(document, operation(world, variables))}
    except Unknown as unknown:
        return _refuse_unknown(world, f"{document.name}: {unknown}")
    except Refused as refused:
        return 200, {"data": None, "errors": [{"message": str(refused)}]}


def read_request(body: Mapping[str, Any]) -> tuple[Document, Variables]:
    return parse_document(body["query"]), body.get("variables") or {}


def _refuse_unknown(world: World, name: str) -> tuple[int, Answer]:
    world.unknown.append(name)
    return 400, {"data": None, "errors": [{"message": f"Cannot query field: {name} is unknown"}]}
