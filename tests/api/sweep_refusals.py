"""Refusals of what is about sweeps, attempts and workers."""

from collections.abc import Iterator
from typing import Any

import httpx

from tests.api.refusals import LONG, NUL, Refusal, X, refuse
from tests.api.sweep_use import (
    FLYTE_LAUNCH,
    LAUNCH,
    WANDB_LAUNCH,
    WANDB_QUEUE_LAUNCH,
    WORKER,
    claim,
    claim_mirrors,
    create_sweep,
    end,
)

YAML = {"Content-Type": "application/yaml"}
ATTEMPT = "{sweep_id}-0-1"
"""The attempt that `arrange_sweeps` leaves running; whoever sends a refusal knows the id."""
SUPERSEDED = "{sweep_id}-1-1"
"""One whose trial has a newer one."""


async def arrange_sweeps(api: httpx.AsyncClient) -> str:
    """Makes the sweeps that the refusals below are about; returns the id of the one that runs."""
    created = await create_sweep(api, "launched")
    first, second = await claim(api, 2)
    await end(api, second, kind="preempted", exit_code=None, values=None)
    assert len(await claim(api, held=[first["id"]])) == 1
    objectives = [{"name": name, "direction": "minimize"} for name in ("loss", "seconds")]
    await create_sweep(api, "launched-two", objectives=objectives)
    spent = LAUNCH | {"queue": "spent"}
    await create_sweep(api, "launched-once", budget={"max_trials": 1}, launch=spent)
    (attempt,) = await claim(api, worker_id="w2", queue="spent")
    await end(api, attempt)
    mirrored = WANDB_LAUNCH | {"queue": "mirrored"}
    await create_sweep(api, "mirrored", launch=mirrored)
    assert len(await claim_mirrors(api, "w2", queue="mirrored")) == 1
    sweep_id: str = created["sweep"]["id"]
    return sweep_id


def list_sweep_refusals() -> Iterator[Refusal]:
    """Of making sweeps, of what people do to them, and of what workers say."""
    yield from _list_creations()
    yield from _list_launches()
    yield from _list_wandb_launches()
    yield from _list_files()
    yield from _list_states()
    yield from _list_claims()
    yield from _list_observations()
    yield from _list_logs()
    yield from _list_reports()
    yield from _list_mirrors()


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
        ({"executor": ["process"]}, "executor"),
        ({"project": "numbers"}, "unknown"),
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
    yield refuse("POST /sweeps?executor=wandb", base | {"launch": LAUNCH}, "executor")


def _list_wandb_launches() -> Iterator[Refusal]:
    base = {"name": "new", "direction": "minimize"}
    for change, hint in (
        ({"program": None}, "launch"),
        ({"projct": "numbers"}, '"project"'),
        ({"project": "ada/numbers"}, "launch.project"),
        ({"project": "p" * 129}, "launch.project"),
        ({"entity": "a b"}, "launch.entity"),
        ({"entity": NUL}, "NUL"),
        ({"mode": "disabled"}, "online"),
        ({"value": "mean"}, "launch.value"),
        ({"group": ""}, "launch.group"),
        ({"job_type": "j" * 256}, "launch.job_type"),
        ({"tags": "a"}, "launch.tags"),
        ({"tags": ["a,b"]}, "launch.tags.0"),
        ({"tags": ["t" * 65]}, "launch.tags.0"),
        ({"tags": ["t"] * 21}, "launch.tags"),
        ({"sweep": "yes"}, "launch.sweep"),
        ({"step_metric": "value"}, "step_metric"),
    ):
        yield refuse("POST /sweeps", base | {"launch": WANDB_LAUNCH | change}, hint)
    for change, hint in (
        ({"job": None}, "image"),
        ({"job": "acme/digits"}, "entity/project/name:version"),
        ({"image": "train:1"}, "one of them"),
        ({"launch_queue": None}, "launch.launch_queue"),
        ({"launch_queue_project": "a/b"}, "launch.launch_queue_project"),
        ({"project": None}, "launch.project"),
        ({"priority": 4}, "launch.priority"),
        ({"resource_args": [1]}, "launch.resource_args"),
        ({"template_variables": {"a": NUL}}, "NUL"),
        ({"template_variables": {"a": 1}, "resource_args": {"b": 1}}, "W&B takes one"),
        ({"entry_point": "train.py"}, "launch.entry_point"),
        ({"entry_point": []}, "launch.entry_point"),
        ({"timeout_seconds": 0}, "launch.timeout_seconds"),
        ({"program": "train.py"}, "launch.program"),
    ):
        yield refuse("POST /sweeps", base | {"launch": WANDB_QUEUE_LAUNCH | change}, hint)
    for change, hint in (
        ({"task": None}, "one of them"),
        ({"workflow": FLYTE_LAUNCH["task"]}, "one of them"),
        ({"task": "numbers/development/train"}, "project/domain/name@version"),
        ({"inputs": [1]}, "launch.inputs"),
        ({"inputs": {"x": 1}, "input_names": {"n": "x"}}, "two values"),
        ({"input_names": {"n": 1}}, "launch.input_names.n"),
        ({"input_names": {"m": "y"}}, "'m', which is no parameter"),
        ({"input_names": {"n": "x"}}, "the input 'x' gets two values"),
        ({"inputs": {"n": 1}}, "the input 'n' gets two values"),
        ({"input_names": {"n.lr": "y"}}, "first dot"),
        ({"outputs": {"loss": "o0"}}, "no objective"),
        ({"timeout_seconds": 0}, "launch.timeout_seconds"),
        ({"interruptible": "yes"}, "launch.interruptible"),
        ({"max_parallelism": 0}, "launch.max_parallelism"),
        ({"labels": {"asktell-trial": "1"}}, "asktell"),
        ({"labels": {"team": "a b"}}, "launch.labels.team"),
        ({"labels": {f"l{number}": "" for number in range(14)}}, "launch.labels"),
        ({"annotations": {"a b": ""}}, "launch.annotations"),
        ({"environment": {"ASKTELL_URL": "x"}}, "ASKTELL_"),
        ({"environment": {"A": NUL}}, "NUL"),
        ({"program": "train.py"}, "launch.program"),
    ):
        flyte = {"space": {"n.lr": X, "x": X}, "launch": FLYTE_LAUNCH | change}
        yield refuse("POST /sweeps", base | flyte, hint)
    launched = base | {"launch": WANDB_LAUNCH}
    for names in ({"asktell": X}, {"asktell": {"x": X}}, {"asktell.x": X}):
        yield refuse("POST /sweeps", launched | {"space": names}, "asktell is no parameter")
    several = {"name": "new", "objectives": [_minimize("a"), _minimize("b")]}
    best = {"launch": WANDB_LAUNCH | {"value": "best"}}
    yield refuse("POST /sweeps", several | best, "single objective")


def _minimize(name: str) -> dict[str, str]:
    return {"name": name, "direction": "minimize"}


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
        (
            "name: new\ndirection: minimize\nlaunch: {executor: wandb, program: a}\n"
            "space: {asktell: 5}\n",
            "invalid-sweep-file",
            "line 4: asktell",
        ),
        (
            "name: new\ndirection: minimize\nspace: {n: 1, x: 2}\nlaunch:\n  executor: flyte\n"
            "  task: a/b/c@v1\n  input_names:\n    n: x\n",
            "invalid-sweep-file",
            "launch.input_names.n: line 8: The input",
        ),
        (
            "name: new\ndirection: minimize\nspace: {n: 1}\nlaunch:\n  executor: flyte\n"
            "  task: a/b/c@v1\n  input_names:\n    m: y\n",
            "invalid-sweep-file",
            "line 8: There is no parameter",
        ),
        (
            "name: new\ndirection: minimize\nspace: {n.lr: 1}\nlaunch:\n  executor: flyte\n"
            "  task: a/b/c@v1\n  inputs:\n    n: 3\n",
            "invalid-sweep-file",
            "launch.inputs.n: line 8: The input",
        ),
        (
            "name: new\ndirection: minimize\nlaunch: {program: a}\nseed: -1\n",
            "invalid-request",
            "line 4: This must be at least 0, not -1.",
        ),
        ('name: "\\ud800"\ndirection: minimize\nlaunch: {program: a}\n', "invalid-sweep-file", ""),
    ):
        yield Refusal("POST /sweeps", text, 422, code, YAML, hint)
    ours = "name: new\ndirection: minimize\nlaunch: {program: a}\n"
    for query, code, hint in (
        ("executor=rocket", "invalid-sweep-file", "rocket"),
        ("project=p", "invalid-sweep-file", "`executor: wandb`"),
        ("executor=wandb&project=a/b", "invalid-request", "launch.project"),
        ("executor=wandb&mode=disabled", "invalid-request", "online"),
    ):
        yield Refusal(f"POST /sweeps?{query}", ours, 422, code, YAML, hint)


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
        ({"adopts": "wandb-launch"}, "adopts"),
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
        ({"url": "javascript:alert(1)"}, "url"),
        ({"url": "https://wandb.ai/a b"}, "url"),
        ({"url": "https://wandb.ai/" + "u" * 2048}, "url"),
        ({"note": NUL}, "NUL"),
        ({"note": "n" * 2001}, "note"),
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
    superseded = f"POST /attempts/{SUPERSEDED}/observe"
    yield Refusal(superseded, base, 409, "attempt-superseded", hint="attempt 2")
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


def _list_mirrors() -> Iterator[Refusal]:
    claims = {"worker_id": "w1", "executors": ["wandb"]}
    for change, hint in (
        ({"worker_id": ""}, "worker_id"),
        ({"worker_id": NUL}, "NUL"),
        ({"queue": "q" * 256}, "queue"),
        ({"executors": []}, "executors"),
        ({"executors": "wandb"}, "executors"),
        ({"executor": ["wandb"]}, '"executors"'),
    ):
        yield refuse("POST /mirrors/claim", claims | change, hint)
    call, told = "POST /sweeps/mirrored/mirror", {"worker_id": "w2"}
    for change, hint in (
        ({"worker_id": None}, "worker_id"),
        ({"external_ref": "r" * 1025}, "external_ref"),
        ({"external_ref": NUL}, "NUL"),
        ({"url": "ftp://wandb.example"}, "url"),
        ({"seen": "stopping"}, "seen"),
        ({"problem": "p" * 2001}, "problem"),
        ({"problems": ""}, '"problem"'),
    ):
        yield refuse(call, told | change, hint)
    yield Refusal(call, {"worker_id": "w1"}, 409, "claim-lost")
    for name in ("launched", "launched-two"):
        yield Refusal(f"POST /sweeps/{name}/mirror", told, 409, "claim-lost")
    for name in ("gone", "open", "plain", "a%00b", LONG):
        yield Refusal(f"POST /sweeps/{name}/mirror", told, 404, "sweep-not-found")
