"""What can be read of a run's history, in each of the forms that the SDK asks for."""

import json
from collections import Counter
from typing import Any

from tests.wandb_backend.run_records import EVENTS, RunRecord
from tests.wandb_backend.world import Variables, World

_DEFAULT_SAMPLES = 500
_LAST_STEP = 2**62


def describe_history(world: World, run: RunRecord, variables: Variables) -> dict[str, Any]:
    """The fields of a run that hold history; each is computed only if it is selected."""
    return {
        "historyKeys": lambda: _describe_keys(run),
        "history": lambda: [world.dump(row) for row in _cut_rows(run, variables)],
        "events": lambda: run.get_lines(EVENTS),
        "sampledHistory": lambda: [_sample(run, spec) for spec in _read_specs(variables)],
        "parquetHistory": lambda: {"parquetUrls": [], "liveData": run.history},
    }


def _describe_keys(run: RunRecord) -> dict[str, Any]:
    counts = Counter(key for row in run.history for key in _flatten(row))
    keys = {
        key: {"typeCounts": [{"type": "number", "count": count}]} for key, count in counts.items()
    }
    return {"lastStep": run.last_step, "keys": keys, "sets": []}


def _cut_rows(run: RunRecord, variables: Variables) -> list[dict[str, Any]]:
    """The last step of a page of full history is exclusive."""
    first, end = variables.get("minStep", 0), variables.get("maxStep", _LAST_STEP)
    rows = [row for row in run.history if first <= row.get("_step", 0) < end]
    return _thin_out(rows, variables.get("samples") or variables.get("pageSize"))


def _read_specs(variables: Variables) -> list[dict[str, Any]]:
    specs = variables.get("specs") or variables.get("historySpecs") or [variables.get("spec")]
    specs = [specs] if isinstance(specs, str) else specs
    return [json.loads(spec) for spec in specs if spec]


def _sample(run: RunRecord, spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows that have all keys, those keys only; the last step of a sample is inclusive."""
    keys = spec.get("keys")
    first, last = spec.get("minStep", 0), spec.get("maxStep", _LAST_STEP)
    rows = [_flatten(row) for row in run.history if first <= row.get("_step", 0) <= last]
    if keys:
        rows = [{key: row[key] for key in keys} for row in rows if set(keys) <= row.keys()]
    return _thin_out(rows, spec.get("samples", _DEFAULT_SAMPLES))


def _flatten(row: dict[str, Any]) -> dict[str, Any]:
    """What is logged nested is read by names that are joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        inner = _flatten(value) if isinstance(value, dict) else None
        flat |= {key: value} if not inner else {f"{key}.{name}": inner[name] for name in inner}
    return flat


def _thin_out(rows: list[dict[str, Any]], samples: int | None) -> list[dict[str, Any]]:
    """W&B draws its samples at random; evenly is as good, and repeatable."""
    if samples is None or len(rows) <= samples:
        return rows
    return [rows[i * len(rows) // samples] for i in range(samples)]
