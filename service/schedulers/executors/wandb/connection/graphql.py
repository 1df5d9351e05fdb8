"""Queries of W&B that the SDK has no function for, or none that does nothing else."""

from collections.abc import Mapping
from typing import Any

from wandb import Api


def execute(api: Api, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what W&B answers; an error that it answers is raised as the SDK raises it."""
    # Nothing public sends a query: the SDK's own commands go through this too.
    answer: dict[str, Any] = api._service_api.execute_graphql(query, variables)
    return answer
