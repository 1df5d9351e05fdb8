"""A task whose annotations are postponed."""

from __future__ import annotations

import flytekit as fl


@fl.task
async def square(x: float) -> float:
    return x**2
