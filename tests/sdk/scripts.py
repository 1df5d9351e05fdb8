"""A transport that answers as a test has written it down, and a client on top of it."""

import json
from typing import Any

import asktell
import httpx

from tests.sdk.clocks import FakeTime

STUDY = {
    "name": "s",
    "objectives": [{"name": "value", "direction": "minimize"}],
    "space": None,
    "sampler": {"type": "TPESampler", "args": {}},
    "pruner": None,
    "seed": 1,
    "user_attrs": {},
}
ASKED = {
    "trials": [
        {"number": 0, "attempt": 1, "params": {}, "user_attrs": {}, "lease_expires_at": None}
    ]
}
TOLD = {
    "number": 0,
    "state": "COMPLETE",
    "params": {},
    "values": [1.0],
    "intermediate_values": [],
    "user_attrs": {},
    "constraints": None,
    "attempt": 1,
    "phase": "ended",
    "lease_expires_at": None,
    "reason": None,
    "started_at": None,
    "finished_at": None,
    "ask_seq": 1,
    "tell_seq": 2,
}

Step = httpx.Response | type[BaseException]


class Script:
    """Answers one request after the other with what it was given, and keeps the requests."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        if isinstance(step, httpx.Response):
            return httpx.Response(step.status_code, headers=step.headers, content=step.content)
        raise step("scripted")

    def bodies(self) -> list[Any]:
        return [json.loads(request.content) for request in self.requests]


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"code": code, "detail": "Scripted."}, headers=headers)


def open_client(script: Script, time: FakeTime, **options: Any) -> asktell.Client:
    transport = httpx.MockTransport(script)
    return asktell.Client("http://box", "t", transport=transport, clock=time.clock, **options)


def open_study(*steps: Step, time: FakeTime, **options: Any) -> tuple[Script, asktell.Study]:
    script = Script(httpx.Response(200, json=STUDY), *steps)
    study = open_client(script, time, **options).get_study("s")
    script.requests.clear()
    return script, study
