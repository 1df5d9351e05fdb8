"""Sweeps over HTTP, and a worker that only says what a test wants it to have seen."""

from typing import Any

import httpx

from tests.api.conftest import SPACE

LAUNCH = {"program": "train.py", "directory": "/srv/digits"}
WANDB_LAUNCH = LAUNCH | {"executor": "wandb", "project": "numbers"}
WANDB_QUEUE_LAUNCH = {
    "executor": "wandb-launch",
    "job": "ada/numbers/train:latest",
    "launch_queue": "gpus",
    "project": "numbers",
}
FLYTE_LAUNCH = {"executor": "flyte", "task": "numbers/development/train@v1"}
WORKER = {
    "worker_id": "w1",
    "worker_name": "gpu-1",
    "host": "gpu-1.example",
    "executors": ["process"],
}
REPORT = {
    "name": "gpu-1",
    "host": "gpu-1.example",
    "queue": "gpu",
    "slots": 4,
    "busy": 1,
    "executors": ["process"],
    "state": "active",
    "version": "0.1.0",
}


async def create_sweep(api: httpx.AsyncClient, name: str = "digits", **changes: Any) -> Any:
    """Makes a seeded random sweep that maximises `accuracy`; returns the answer."""
    body = {
        "name": name,
        "objectives": [{"name": "accuracy", "direction": "maximize"}],
        "space": SPACE,
        "sampler": {"type": "RandomSampler"},
        "seed": 7,
        "launch": LAUNCH,
    }
    response = await api.post("/sweeps", json=body | changes)
    assert response.status_code == 201, response.text
    return response.json()


async def claim(api: httpx.AsyncClient, count: int = 1, **changes: Any) -> list[dict[str, Any]]:
    """What the worker gets."""
    response = await api.post("/attempts/claim", json=WORKER | {"count": count} | changes)
    assert response.status_code == 200, response.text
    attempts: list[dict[str, Any]] = response.json()["attempts"]
    return attempts


async def observe(api: httpx.AsyncClient, attempt: dict[str, Any], **seen: Any) -> httpx.Response:
    """The worker says what it saw of an attempt that it got."""
    body = {"claim": attempt["claim"], "state": "running"} | seen
    return await api.post(f"/attempts/{attempt['id']}/observe", json=body)


async def end(api: httpx.AsyncClient, attempt: dict[str, Any], **ending: Any) -> Any:
    """The program of an attempt ended: well, with an accuracy, unless told otherwise."""
    well = {"kind": "exited", "exit_code": 0, "values": {"accuracy": 0.9}}
    response = await observe(api, attempt, ending=well | ending)
    assert response.status_code == 200, response.text
    return response.json()


async def send_log(
    api: httpx.AsyncClient, attempt: dict[str, Any], text: str, *, offset: int = 0, **changes: Any
) -> httpx.Response:
    """The worker sends a part of a log."""
    size = len(text.encode())
    body = {"claim": attempt["claim"], "offset": offset, "text": text, "bytes": size}
    return await api.post(f"/attempts/{attempt['id']}/log", json=body | changes)


async def claim_mirrors(
    api: httpx.AsyncClient, worker_id: str = "w1", **changes: Any
) -> list[dict[str, Any]]:
    """The sweeps whose mirrors the worker is to keep."""
    body = {"worker_id": worker_id, "executors": ["wandb"]} | changes
    response = await api.post("/mirrors/claim", json=body)
    assert response.status_code == 200, response.text
    mirrors: list[dict[str, Any]] = response.json()["mirrors"]
    return mirrors


async def tell_mirror(
    api: httpx.AsyncClient, study: str = "digits", worker_id: str = "w1", **told: Any
) -> httpx.Response:
    """The worker says how the sweep outside is."""
    return await api.post(f"/sweeps/{study}/mirror", json={"worker_id": worker_id} | told)
