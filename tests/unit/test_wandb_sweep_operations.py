"""How sweeps of W&B are asked for: what W&B gets to read, and what older servers leave out."""

import json
import re
from typing import Any

import yaml

from service.schedulers.executors.wandb.sweeps.sweep_operations import (
    create_sweep,
    read_sweep_states,
)

PLACE = {"entity": "acme", "project": "vision"}
SWEEP = {
    "name": "x1",
    "createdAt": "2026-11-22T10:00:00Z",
    "state": "RUNNING",
    "project": {"name": "vision", "entity": {"name": "acme"}},
}


class ScriptedApi:
    """What the operations use of `wandb.Api`.

    Attributes:
        states: Of the sweeps, by name.
        can_filter: Whether it lists some of a project's sweeps.
        left_out: What its lists leave out.
        requests: Names and variables of all that was asked for.
    """

    def __init__(self, *, can_filter: bool = True) -> None:
        self._service_api = self
        self.default_entity = "acme"
        self.app_url = "https://wandb.example/"
        self.states: dict[str, str] = {}
        self.left_out: set[str] = set()
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self._can_filter = can_filter

    @property
    def operations(self) -> list[str]:
        return [operation for operation, _ in self.requests]

    def feature_enabled(self, _: object) -> bool:
        return self._can_filter

    def execute_graphql(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        match = re.search(r"(?:query|mutation) (\w+)", query)
        assert match
        self.requests.append((match[1], variables))
        if match[1] == "GetSweeps":
            names = set(json.loads(variables["filters"])["name"]["$in"]) - self.left_out
            nodes = [{"name": name, "state": state} for name, state in self.states.items()]
            edges = [{"node": node} for node in nodes if node["name"] in names]
            return {"project": {"sweeps": {"edges": edges}}}
        if match[1] == "UpsertSweep":
            return {"upsertSweep": {"sweep": SWEEP}}
        state = self.states.get(variables["sweep"])
        sweep = state and {"id": "1", "name": variables["sweep"], "state": state}
        return {"project": {"sweep": sweep}}


def read_states(api: Any, *names: str) -> dict[str, str | None]:
    return read_sweep_states(api, **PLACE, names=names)


def test_texts_are_texts_to_every_reader_of_yaml() -> None:
    api: Any = ScriptedApi()
    # To YAML 1.2, in which W&B's server reads, the first ones would be numbers.
    texts = ["008", "1e5", "0o7", "no", "null", "", "a: b", "two\nlines", "plain"]
    config = {"description": "digits", "parameters": {"x": {"values": [*texts, 1e-5, None]}}}
    create_sweep(api, **PLACE, config=config)
    (written,) = [variables["config"] for _, variables in api.requests]
    assert yaml.safe_load(written) == config
    for text in texts:
        assert f"'{text}'" in written or text in ("plain", "two\nlines")
    assert "1.0e-05" in written


def test_the_address_is_that_of_what_wandb_made() -> None:
    api: Any = ScriptedApi()
    made = create_sweep(api, entity=None, project="vision", config={"description": ""})
    assert made["url"] == "https://wandb.example/acme/vision/sweeps/x1"
    assert api.requests[0][1]["entityName"] == "acme"


def test_one_state_needs_no_list() -> None:
    api = ScriptedApi()
    api.states = {"x1": "RUNNING"}
    assert read_states(api, "x1") == {"x1": "RUNNING"}
    assert api.operations == ["GetSweepState"]


def test_what_a_list_leaves_out_is_asked_for_alone() -> None:
    api = ScriptedApi()
    api.states = {"x1": "RUNNING", "x2": "PAUSED"}
    api.left_out = {"x2"}
    assert read_states(api, "x1", "x2", "x3") == {"x1": "RUNNING", "x2": "PAUSED", "x3": None}
    assert api.operations == ["GetSweeps", "GetSweepState", "GetSweepState"]


def test_an_older_server_is_asked_for_each() -> None:
    api = ScriptedApi(can_filter=False)
    api.states = {"x1": "RUNNING"}
    assert read_states(api, "x1", "x2") == {"x1": "RUNNING", "x2": None}
    assert api.operations == ["GetSweepState", "GetSweepState"]
