"""Refusals of what is about sweeps, attempts and workers."""

from collections.abc import Iterator
from typing import Any

import httpx

from tests.api.refusals import LONG, NUL, Refusal, X, refuse
from tests.api.sweep_use import LAUNCH, WORKER, claim, create_sweep, end

YAML = {"Content-Type": "application/yaml"}
ATTEMPT = "{sweep_id}-0-1"
"""The attempt that `arrange_sweeps` leaves running; whoever sends a refusal knows the id."""


async def arrange_sweeps(api: httpx.AsyncClient) -> str:
    """Makes the sweeps that the refusals below are about; returns the id of the one that runs."""
    created = await create_sweep(api, "launched")
    await claim(api, 2)
    objectives = [{"name": name, "direction": "minimize"} for name in ("loss", "seconds")]
    await create_sweep(api, "launched-two", objectives=objectives)
    spent = LAUNCH | {"queue": "spent"}
    await create_sweep(api, "launched-once", budget={"max_trials": 1}, launch=spent)
    (attempt,) = await claim(api, worker_id="w2", queue="spent")
    await end(api, attempt)
    sweep_id: str = created["sweep"]["id"]
    return sweep_id


def list_sweep_refusals() -> Iterator[Refusal]:
    """Of making sweeps, of what people do to them, and of what workers say."""
    yield from _list_creations()
    yield from _list_launches()
    yield from _list_files()
    yield from _list_states()
    yield from _list_claims()
    yield from _list_observations()
    yield from _list_logs()
    yield from _list_reports()


def _list_creations() -> Iterator[Refusal]:
    call, base = "POST /sweeps", {"name": "new", "direction": "minimize", "launch": LAUNCH}
    for change, code, hint in (
        ({"name": "a/b"}, "invalid-name", "/"),
        ({"launch": None}, "invalid-request", "launch"),
        ({"lanch": {}}, "invalid-request", '"launch"'),
        ({"direction": None}, "invalid-request", "objectives"),
        ({"lease_seconds": None}, "invalid-settings", "lease_seconds"),
        ({"lease_seconds": 0.5}, "invalid-request", "lease_seconds"),
        ({"budget": {"max_failures": 0}}, "invalid-request", "budget.max_failures"),
        ({"budget": {"max_trial": 3}}, "invalid-request", '"max_trials"'),
        ({"sampler": {"type": "NoSampler"}}, "invalid-sampler", ""),
        ({"pruner": {"type": "NoPruner"}}, "invalid-pruner", ""),
        ({"space": {"x": X | {"low": 9}}}, "invalid-space", "x"),
    ):
        yield Refusal(call, base | change, 422, code, hint=hint)
    for change, hint in (
        ({"name": "launched"}, "if_exists"),
        ({"name": "open", "if_exists": "load"}, "different"),
        ({"name": "launched-once", "if_exists": "load"}, "different"),
    ):
        yield Refusal(call, base | change, 409, "study-exists", hint=hint)
    yield Refusal(call, {}, 422, "invalid-request")
    yield Refusal("PATCH /studies/launched", {"lease_seconds": None}, 422, "invalid-settings")
    yield refuse("POST /studies", base, "launch")


def _list_launches() -> Iterator[Refusal]:
    base = {"name": "new", "direction": "minimize"}
    for change, hint in (
        ({"executor": "rocket"}, "process"),
        ({"executor": None}, "executor"),
        ({"queue": ""}, "queue"),
        ({"queue": "q" * 256}, "queue"),
        ({"program": None}, "program"),
        ({"program": ""}, "program"),
        ({"program": NUL}, "NUL"),
        ({"program": None, "command": ["python", "${program}"]}, "program"),
        ({"command": []}, "command"),
        ({"command": "python train.py"}, "command"),
        ({"command": ["a", NUL]}, "command.1"),
        ({"command": ["a", 1]}, "command.1"),
        ({"command": ["a"] * 1001}, "command"),
        ({"directory": "here"}, "absolute"),
        ({"directory": "/" + "d" * 4096}, "directory"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"timeout_seconds": "1h"}, "timeout_seconds"),
        ({"stop_seconds": -1}, "stop_seconds"),
        ({"stop_seconds": None}, "stop_seconds"),
        ({"step_metric": ""}, "step_metric"),
        ({"step_metric": LONG}, "step_metric"),
        ({"step_metric": "value"}, "step_metric"),
        ({"programm": "train.py"}, '"program"'),
    ):
        yield refuse("POST /sweeps", base | {"launch": LAUNCH | change}, hint)
    yield refuse("POST /sweeps?name=new", base | {"launch": LAUNCH}, "name")
    yield refuse("POST /sweeps?directory=/srv", base | {"launch": LAUNCH}, "directory")


def _list_files() -> Iterator[Refusal]:
    for text, code, hint in (
        ("", "invalid-sweep-file", "empty"),
        ("method: [", "invalid-sweep-file", "line 2"),
        ("method: magic\n", "invalid-sweep-file", "line 1"),
        ("name: new\ndirection: up\nlaunch: {program: a}\n", "invalid-request", "line 2"),
        ("name: new\ndirection: minimize\nlaunch: {}\n", "invalid-sweep-file", "line 3"),
        (
            "name: new\ndirection: minimize\nlaunch: {program: a}\nsampler: {type: NoSampler}\n",
            "invalid-sampler",
            "line 4",
        ),
        ('name: "\\ud800"\ndirection: minimize\nlaunch: {program: a}\n', "invalid-sweep-file", ""),
    ):
        yield Refusal("POST /sweeps", text, 422, code, YAML, hint)


def _list_states() -> Iterator[Refusal]:
    for change in ("pause", "resume", "stop", "cancel"):
        for name in ("gone", "open", "plain", "a%00b", LONG):
            yield Refusal(f"POST /sweeps/{name}/{change}", None, 404, "sweep-not-found")
    once = "POST /sweeps/launched-once/resume"
    yield Refusal(once, None, 409, "study-finished", hint="PATCH")


def _list_claims() -> Iterator[Refusal]:
    call, base = "POST /attempts/claim", WORKER | {"count": 0}
    for change, hint in (
        ({"worker_id": ""}, "worker_id"),
        ({"worker_id": NUL}, "NUL"),
        ({"worker_name": "n" * 256}, "worker_name"),
        ({"host": None}, "host"),
        ({"executors": []}, "executors"),
        ({"executors": [1]}, "executors"),
        ({"count": -1}, "count"),
        ({"count": 1001}, "count"),
        ({"count": True}, "count"),
        ({"held": "all"}, "held"),
        ({"wait_seconds": 61}, "wait_seconds"),
        ({"wait_second": 1}, '"wait_seconds"'),
    ):
        yield refuse(call, base | change, hint)


def _list_observations() -> Iterator[Refusal]:
    call, base = f"POST /attempts/{ATTEMPT}/observe", {"claim": 1, "state": "running"}
    ending = {"kind": "exited", "exit_code": 0}
    for change, hint in (
        ({"claim": 0}, "claim"),
        ({"claim": None}, "claim"),
        ({"state": "succeeded"}, "launching, running or stopping"),
        ({"state": "queued"}, "state"),
        ({"external_ref": "r" * 1025}, "external_ref"),
        ({"external_ref": NUL}, "NUL"),
        ({"points": [{"step": -1, "value": 1}]}, "step"),
        ({"points": [{"step": 1, "value": "much"}]}, "value"),
        ({"ending": {}}, "kind"),
        ({"ending": ending | {"kind": "bored"}}, "kind"),
        ({"ending": ending | {"exit_code": 2**31}}, "exit_code"),
        ({"ending": ending | {"signal": 0}}, "signal"),
        ({"ending": ending | {"message": "m" * 10_001}}, "message"),
        ({"ending": ending | {"values": {"accuracy": "good"}}}, "accuracy"),
        ({"ending": ending | {"values": [1]}}, "values"),
        ({"endign": ending}, '"ending"'),
    ):
        yield refuse(call, base | change, hint)
    yield Refusal(call, base | {"claim": 2}, 409, "claim-lost")
    for attempt_id, code in (
        ("nothing", "attempt-not-found"),
        ("{sweep_id}-0-0", "attempt-not-found"),
        ("{sweep_id}-4294967296-1", "attempt-not-found"),
        ("{sweep_id}-0-2", "attempt-not-found"),
        ("{sweep_id}-9-1", "trial-not-found"),
        ("00000000-0-1", "sweep-not-found"),
    ):
        yield Refusal(f"POST /attempts/{attempt_id}/observe", base, 404, code)


def _list_logs() -> Iterator[Refusal]:
    call = f"POST /attempts/{ATTEMPT}/log"
    base: dict[str, Any] = {"claim": 1, "offset": 0, "text": "four", "bytes": 4}
    for change, hint in (
        ({"claim": 0}, "claim"),
        ({"offset": -1}, "offset"),
        ({"offset": 2**62}, "offset"),
        ({"text": None}, "text"),
        ({"bytes": 3}, "bytes"),
        ({"bytes": 5}, "bytes"),
        ({"bytes": 2**20}, "bytes"),
        ({"ofset": 1}, '"offset"'),
    ):
        yield refuse(call, base | change, hint)
    yield Refusal(call, base | {"claim": 2}, 409, "claim-lost")
    for attempt_id in ("nothing", "{sweep_id}-9-1", "00000000-0-1"):
        yield Refusal(f"POST /attempts/{attempt_id}/log", base, 404, "attempt-not-found")


def _list_reports() -> Iterator[Refusal]:
    base = {"name": "n", "host": "h", "executors": ["process"], "slots": 1, "version": "1"}
    yield refuse("PUT /workers/w1", base | {"slots": -1}, "slots")
    yield refuse("PUT /workers/w1", base | {"slot": 1}, '"slots"')
    yield refuse("PUT /workers/a%00b", base, "worker_id")
    yield refuse("DELETE /workers/a%00b", None, "worker_id")
