"""What tests of `asktell sweep` start from: a file, and a worker of its queue."""

from typing import Any

import httpx

from tests.api.sweep_use import claim

FILE = """
program: train.py
method: random
metric: {name: accuracy, goal: maximize}
parameters:
  lr: {min: 0.1, max: 1.0}
run_cap: 2
queue: gpu
"""
WANDB = {"executors": ["wandb"], "queue": "gpu"}


async def claim_of_gpu(api: httpx.AsyncClient, count: int = 1) -> list[dict[str, Any]]:
    return await claim(api, count, queue="gpu", wait_seconds=20)
