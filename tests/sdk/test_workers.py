"""`asktell.workers`: what a worker says and hears, to the letter of the protocol."""

import inspect
import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import asktell
import httpx
import pytest
from asktell import workers
from asktell.workers import (
    GONE_CODES,
    ClaimedAttempt,
    Ending,
    Instruction,
    WantedMirror,
    WorkerClient,
)

ATTEMPT_ID = "k3v9x2ab-12-1"
ME = {"name": "box", "host": "box.example", "queue": "gpu", "executors": ["process"]}
CLAIMED = {
    "id": ATTEMPT_ID,
    "study": "digits",
    "trial": 12,
    "attempt": 1,
    "claim": 3,
    "state": "launching",
    "external_ref": None,
    "params": {"optimizer": {"lr": 0.1}},
    "metrics": ["accuracy"],
    "directions": ["maximize"],
    "run_id": "k3v9x2ab-12-1",
    "mirror_ref": None,
    "launch": {"executor": "process", "queue": "gpu", "program": "train.py", "stop_seconds": 15},
    "lease_expires_at": "2026-11-22T10:00:00Z",
    "token": "a-secret-token",
}


class Recorder:
    """Answers every request alike, and keeps what was asked."""

    def __init__(self, status: int = 204, document: Any = None, error: str | None = None) -> None:
        self.requests: list[httpx.Request] = []
        self._status = status
        self._document = document
        self._error = error

    @property
    def body(self) -> Any:
        return json.loads(self.requests[-1].content)

    @property
    def address(self) -> str:
        return f"{self.requests[-1].method} {self.requests[-1].url.raw_path.decode()}"

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self._error is not None:
            raise httpx.ConnectError(self._error)
        if self._document is None:
            return httpx.Response(self._status)
        return httpx.Response(self._status, json=self._document)

    def open_client(self) -> WorkerClient:
        transport = httpx.MockTransport(self)
        return WorkerClient("http://127.0.0.1:8700/", "a-token", transport=transport)


def test_registers() -> None:
    server = Recorder()
    with server.open_client() as client:
        client.register("w/1", **ME, slots=4, busy=1, version="0.1.0", is_draining=True)
    assert server.address == "PUT /workers/w%2F1"
    assert server.body == ME | {"slots": 4, "busy": 1, "version": "0.1.0", "state": "draining"}
    assert server.requests[0].headers["Authorization"] == "Bearer a-token"


def test_leaves() -> None:
    server = Recorder()
    with server.open_client() as client:
        client.leave("w1")
    assert server.address == "DELETE /workers/w1"


def test_claims() -> None:
    server = Recorder(200, {"attempts": [CLAIMED], "unreachable": ["c"]})
    with server.open_client() as client:
        answer = client.claim("w1", **ME, count=2, held=["b", "a"], adopts=["x"], wait_seconds=20)
    assert answer.unreachable == {"c"}
    (claimed,) = answer.attempts
    assert server.address == "POST /attempts/claim"
    assert server.body == {
        "worker_id": "w1",
        "worker_name": "box",
        "host": "box.example",
        "queue": "gpu",
        "executors": ["process"],
        "count": 2,
        "held": ["a", "b"],
        "adopts": ["x"],
        "wait_seconds": 20,
    }
    assert server.requests[0].extensions["timeout"]["read"] > 20
    assert claimed == ClaimedAttempt(
        attempt_id=ATTEMPT_ID,
        study="digits",
        trial=12,
        attempt=1,
        claim=3,
        state="launching",
        external_ref=None,
        params={"optimizer": {"lr": 0.1}},
        metrics=("accuracy",),
        directions=("maximize",),
        run_id=ATTEMPT_ID,
        mirror_ref=None,
        executor="process",
        arguments={"queue": "gpu", "program": "train.py", "stop_seconds": 15},
        lease_expires_at=datetime(2026, 11, 22, 10, tzinfo=UTC),
        token="a-secret-token",
    )
    assert "a-secret-token" not in repr(claimed)


def test_observes() -> None:
    answer = {"stop": "pruned", "is_over": False, "lease_expires_at": "2026-11-22T10:00:00Z"}
    server = Recorder(200, answer)
    with server.open_client() as client:
        instruction = client.observe(
            ATTEMPT_ID, claim=3, state="running", points=[(0, 0.5), (1, math.nan)]
        )
    assert server.address == f"POST /attempts/{ATTEMPT_ID}/observe"
    assert server.body == {
        "claim": 3,
        "state": "running",
        "points": [{"step": 0, "value": 0.5}, {"step": 1, "value": "NaN"}],
    }
    assert instruction == Instruction("pruned", False, datetime(2026, 11, 22, 10, tzinfo=UTC))


def test_tells_how_an_attempt_ended() -> None:
    server = Recorder(200, {"stop": "over", "is_over": True, "lease_expires_at": None})
    ending = Ending("exited", signal=9, message="killed", values={"accuracy": math.inf})
    with server.open_client() as client:
        instruction = client.observe(
            ATTEMPT_ID, claim=3, state="stopping", external_ref="process:h:1", ending=ending
        )
    assert server.body == {
        "claim": 3,
        "state": "stopping",
        "external_ref": "process:h:1",
        "points": [],
        "ending": {
            "kind": "exited",
            "exit_code": None,
            "signal": 9,
            "message": "killed",
            "values": {"accuracy": "Infinity"},
        },
    }
    assert instruction == Instruction("over", True, None)


def test_sends_a_part_of_a_log() -> None:
    server = Recorder()
    with server.open_client() as client:
        client.send_log(ATTEMPT_ID, claim=3, offset=7, data="größer".encode() + b"\xff")
    assert server.address == f"POST /attempts/{ATTEMPT_ID}/log"
    assert server.body == {"claim": 3, "offset": 7, "text": "größer\ufffd", "bytes": 9}


@pytest.mark.parametrize("code", sorted(GONE_CODES))
def test_a_refusal_is_an_error_with_its_code(code: str) -> None:
    status = 409 if code == "claim-lost" else 404
    server = Recorder(status, {"code": code, "detail": "It is gone."})
    with server.open_client() as client, pytest.raises(asktell.ApiError) as caught:
        client.observe(ATTEMPT_ID, claim=3, state="running")
    assert caught.value.code == code


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.leave("w1"),
        lambda client: client.claim("w1", **ME, count=1),
        lambda client: client.observe(ATTEMPT_ID, claim=1, state="running"),
        lambda client: client.claim_mirrors("w1", queue="gpu", executors=["wandb"]),
        lambda client: client.tell_mirror("w1", "digits", seen="running"),
    ],
)
def test_every_call_is_one_try(call: Callable[[WorkerClient], Any]) -> None:
    away, unavailable = Recorder(error="refused"), Recorder(503, {"code": "database-unavailable"})
    with away.open_client() as client, pytest.raises(asktell.ApiConnectionError):
        call(client)
    with unavailable.open_client() as client, pytest.raises(asktell.UnavailableError):
        call(client)
    assert len(away.requests) == len(unavailable.requests) == 1


def test_claims_mirrors() -> None:
    wanted = {
        "study": "digits",
        "sweep_id": "k3v9x2ab",
        "executor": "wandb",
        "launch": {"program": "train.py"},
        "description": "A wider net.",
        "objectives": [{"name": "accuracy", "direction": "maximize"}],
        "space": {"lr": {"type": "float", "low": 0, "high": 1}},
        "external_ref": None,
    }
    server = Recorder(200, {"mirrors": [wanted]})
    with server.open_client() as client:
        (mirror,) = client.claim_mirrors("w1", queue="gpu", executors=("wandb",))
    assert server.address == "POST /mirrors/claim"
    assert server.body == {"worker_id": "w1", "queue": "gpu", "executors": ["wandb"]}
    assert mirror == WantedMirror(
        study="digits",
        sweep_id="k3v9x2ab",
        executor="wandb",
        arguments={"program": "train.py"},
        description="A wider net.",
        objectives=(("accuracy", "maximize"),),
        space=wanted["space"],
        external_ref=None,
    )


def test_tells_of_a_mirror() -> None:
    server = Recorder(200, {"set": None})
    told = {"external_ref": "acme/vision/x1", "url": "https://wandb.example/x1", "seen": "running"}
    with server.open_client() as client:
        assert client.tell_mirror("w1", "digits 2", **told) is None
    assert server.address == "POST /sweeps/digits%202/mirror"
    assert server.body == told | {"worker_id": "w1", "is_deleted": False, "problem": None}


def test_hears_what_a_mirror_is_to_be() -> None:
    server = Recorder(200, {"set": "paused"})
    with server.open_client() as client:
        assert client.tell_mirror("w1", "digits", problem="W&B is away.") == "paused"
    problem = {"seen": None, "is_deleted": False, "problem": "W&B is away."}
    assert server.body == {"worker_id": "w1"} | problem


def test_everything_public_is_documented() -> None:
    for name in workers.__all__:
        value = getattr(workers, name)
        if inspect.isclass(value):
            assert value.__doc__, name
            methods = inspect.getmembers(value, inspect.isfunction)
            assert [
                method for method, code in methods if method[0] != "_" and not code.__doc__
            ] == []
