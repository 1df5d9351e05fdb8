"""Writes histories.json, the same each time: `python -m tests.parity.make_histories`.

A history is what happened in a sweep, in order: `[run, value]` is a row of a run, `[run, null]` a
row without the metric, `[run, "crashed"]` its end.
"""

import itertools
import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "histories.json"

GOALS = ("minimize", "maximize")
BANDS: tuple[dict[str, int], ...] = ({"min_iter": 1}, {"min_iter": 3}, {"max_iter": 27, "s": 3})
ETAS = (2, 3, 4, 1.5)
STRICT = (True, False)
LEVELS = (None, 4)
"""How many values there are, so that many are equal; None: any number."""

ENDS = ("finished", "finished", "finished", "crashed", "failed", "killed")
ODD_VALUES = (None, math.nan, math.inf, -math.inf)
SHARE_ODD = 0.08
SLOTS = 5
N_ROWS = 64


def make_histories() -> list[dict[str, Any]]:
    combinations = itertools.product(GOALS, BANDS, ETAS, STRICT, LEVELS)
    return [
        _make_history(random.Random(seed), *combination)
        for seed, combination in enumerate(combinations)
    ]


def _make_history(
    draw: random.Random,
    goal: str,
    bands: dict[str, int],
    eta: float,
    strict: bool,
    levels: int | None,
) -> dict[str, Any]:
    early_terminate = {"type": "hyperband", **bands, "eta": eta, "strict": strict}
    # Left out where they are W&B's defaults, so that ours have to be the same.
    if eta == 3 and strict:
        del early_terminate["eta"], early_terminate["strict"]
    events = list(_run_sweep(draw, levels))
    return {
        "goal": goal,
        "early_terminate": early_terminate,
        "n_runs": 1 + max(run for run, _ in events),
        "events": events,
    }


def _run_sweep(draw: random.Random, levels: int | None) -> Iterator[tuple[int, Any]]:
    """Some runs beside one another, each ending in some way when it has no rows left."""
    numbers = itertools.count()
    running = {next(numbers): _start_run(draw, levels) for _ in range(draw.randint(1, SLOTS))}
    for _ in range(N_ROWS):
        run = draw.choice(list(running))
        if running[run]:
            yield run, running[run].pop(0)
        else:
            yield run, draw.choice(ENDS)
            del running[run]
            running[next(numbers)] = _start_run(draw, levels)


def _start_run(draw: random.Random, levels: int | None) -> list[float | None]:
    n_rows = draw.choice([0, 1, 2, draw.randint(3, 12), draw.randint(8, 40)])
    level, slope = draw.random(), draw.uniform(-0.05, 0.05)
    return [_draw_value(draw, level + slope * row, levels) for row in range(n_rows)]


def _draw_value(draw: random.Random, mean: float, levels: int | None) -> float | None:
    if draw.random() < SHARE_ODD:
        return draw.choice(ODD_VALUES)
    if levels is not None:
        return draw.randrange(levels)
    return round(mean + draw.gauss(0, 0.2), 3)


def _write(histories: list[dict[str, Any]]) -> None:
    lines = (json.dumps(history, separators=(",", ":")) for history in histories)
    FILE.write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    _write(make_histories())
