"""Whose the key is, as W&B tells the process that has wandb."""

from typing import Any, cast

import pytest
from wandb import Api

from service.schedulers.executors.wandb.connection.errors import Failure, explain_error
from service.schedulers.executors.wandb.runs.run_operations import find_account


class ScriptedApi:
    """What the operation uses of `wandb.Api`."""

    def __init__(self, viewer: dict[str, Any] | None) -> None:
        self._service_api = self
        self.settings = {"entity": None}
        self._viewer = viewer

    def execute_graphql(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        return {"viewer": self._viewer}


def test_runs_go_to_the_entity_of_the_key() -> None:
    assert find_account(cast("Api", ScriptedApi({"entity": "acme"}))) == {"entity": "acme"}


def test_key_that_has_no_account_is_refused_as_any_wrong_one() -> None:
    with pytest.raises(Exception, match="does not know") as raised:
        find_account(cast("Api", ScriptedApi(None)))

    assert explain_error(raised.value) == Failure(
        "refused",
        "W&B does not know the API key. Run `wandb login` as the worker's user, or set "
        "WANDB_API_KEY for it.",
        is_about_key=True,
    )
