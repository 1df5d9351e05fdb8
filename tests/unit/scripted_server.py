"""A server as a worker sees it, in memory: tests say what it offers and how it fails."""

import json
import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

_ROUTES = {
    "register": re.compile(r"PUT /workers/(?P<id>[^/]+)"),
    "leave": re.compile(r"DELETE /workers/(?P<id>[^/]+)"),
    "claim": re.compile(r"POST /attempts/claim"),
    "observe": re.compile(r"POST /attempts/(?P<id>[^/]+)/observe"),
    "log": re.compile(r"POST /attempts/(?P<id>[^/]+)/log"),
}
_NOTHING_TO_DO = {"stop": None, "is_over": False, "lease_expires_at": None}


@dataclass(slots=True)
class OfferedAttempt:
    """What the server knows of an attempt.

    Attributes:
        stop: What workers are told to do with it.
        refusal: Status and code that observations get.
        told: All observations that got through.
        endings: Those ends that were told.
    """

    document: dict[str, Any]
    worker_id: str | None = None
    claim: int = 0
    stop: str | None = None
    refusal: tuple[int, str] | None = None
    told: list[dict[str, Any]] = field(default_factory=list)
    log: bytes = b""

    @property
    def endings(self) -> list[dict[str, Any]]:
        return [seen["ending"] for seen in self.told if "ending" in seen]

    @property
    def points(self) -> dict[int, float]:
        """By step; the first value of a step stays."""
        points: dict[int, float] = {}
        for seen in self.told:
            for point in seen["points"]:
                points.setdefault(point["step"], point["value"])
        return points

    @property
    def states(self) -> list[str]:
        return [seen["state"] for seen in self.told]

    @property
    def is_over(self) -> bool:
        return bool(self.endings)


class ScriptedServer:
    """Give `transport` to a `WorkerClient`.

    Attributes:
        attempts: By id.
        unreachable: Ids of those that it cannot hand out.
        workers: The last registration of each worker that has not left.
        calls: How often each call came, refused and lost ones too.
        last_claim: What the last claim said.
        refuse_points: Whether observations with points are refused.
        ignores_held: Whether attempts are handed out again that the worker holds; older claims
            stay good then.
        claim_gate: Cleared, answers to claims that found something wait until it is set.
    """

    def __init__(self) -> None:
        self.attempts: dict[str, OfferedAttempt] = {}
        self.unreachable: set[str] = set()
        self.workers: dict[str, dict[str, Any]] = {}
        self.calls: Counter[str] = Counter()
        self.last_claim: dict[str, Any] = {}
        self.claim_gate = threading.Event()
        self.claim_gate.set()
        self.refuse_points = False
        self.ignores_held = False
        self.transport = httpx.MockTransport(self._handle)
        self._lock = threading.Lock()
        self._lost: Counter[str] = Counter()
        self._refusals: dict[str, tuple[int, str]] = {}

    @property
    def held(self) -> list[str]:
        """What the last claim said that the worker holds."""
        return list(self.last_claim.get("held", []))

    def offer(self, attempt_id: str, **changes: Any) -> OfferedAttempt:
        """Offers an attempt to whoever claims next."""
        _, trial, number = attempt_id.split("-")
        document = {
            "id": attempt_id,
            "study": "digits",
            "trial": int(trial),
            "attempt": int(number),
            "state": "launching",
            "external_ref": None,
            "params": {"lr": 0.1},
            "metrics": ["accuracy"],
            "directions": ["maximize"],
            "run_id": attempt_id,
            "mirror_ref": None,
            "launch": {"executor": "fake", "program": "train.py"},
            "lease_expires_at": "2026-01-01T00:00:00Z",
            "token": f"token-of-{attempt_id}",
        }
        attempt = OfferedAttempt(document | changes)
        with self._lock:
            self.attempts[attempt_id] = attempt
        return attempt

    def lose(self, call: str, times: int = 1) -> None:
        """The next answers to a call get lost, after it took effect."""
        self._lost[call] = times

    def refuse(self, call: str, status: int, code: str = "refused") -> None:
        """Answers a call with a problem until `accept`."""
        self._refusals[call] = (status, code)

    def accept(self, call: str) -> None:
        self._refusals.pop(call, None)

    def go_down(self) -> None:
        for call in _ROUTES:
            self.refuse(call, 503, "database-unavailable")

    def come_up(self) -> None:
        self._refusals.clear()

    def _handle(self, request: httpx.Request) -> httpx.Response:
        call, attempt_id = _find_route(request)
        body = json.loads(request.content or b"{}")
        with self._lock:
            self.calls[call] += 1
            if call in self._refusals:
                return _build_problem(*self._refusals[call])
            response = self._get_handler(call)(attempt_id, body)
            is_lost, self._lost[call] = self._lost[call] > 0, max(0, self._lost[call] - 1)
        if call == "claim" and body["count"] and response.json()["attempts"]:
            self.claim_gate.wait()
        if is_lost:
            raise httpx.ReadError("The answer was lost.", request=request)
        return response

    def _get_handler(self, call: str) -> Callable[[str, dict[str, Any]], httpx.Response]:
        return {
            "register": self._register,
            "leave": self._leave,
            "claim": self._claim,
            "observe": self._observe,
            "log": self._take_log,
        }[call]

    def _register(self, worker_id: str, body: dict[str, Any]) -> httpx.Response:
        self.workers[worker_id] = body
        return httpx.Response(204)

    def _leave(self, worker_id: str, body: dict[str, Any]) -> httpx.Response:
        self.workers.pop(worker_id, None)
        return httpx.Response(204)

    def _claim(self, _: str, body: dict[str, Any]) -> httpx.Response:
        self.last_claim = body
        known = () if self.ignores_held else self.held
        open_attempts = [attempt for attempt in self.attempts.values() if not attempt.is_over]
        mine = [
            attempt
            for attempt in open_attempts
            if attempt.worker_id == body["worker_id"] and attempt.document["id"] not in known
        ]
        away = [one.document["id"] for one in mine if one.document["id"] in self.unreachable]
        back = [one for one in mine if one.document["id"] not in away]
        free = [
            attempt
            for attempt in open_attempts
            if attempt.worker_id is None
            and attempt.document["id"] not in self.unreachable
            and attempt.document["launch"]["executor"] in body["executors"]
        ]
        granted = back + free[: max(0, body["count"] - len(mine))]
        answer = {"attempts": [_grant(one, body) for one in granted], "unreachable": away}
        return httpx.Response(200, json=answer)

    def _observe(self, attempt_id: str, body: dict[str, Any]) -> httpx.Response:
        attempt = self.attempts[attempt_id]
        if attempt.refusal is not None:
            return _build_problem(*attempt.refusal)
        if self.refuse_points and body["points"]:
            return _build_problem(422, "invalid-report")
        if body["claim"] != attempt.claim and not self.ignores_held:
            return _build_problem(409, "claim-lost")
        attempt.told.append(body)
        attempt.document["state"] = body["state"]
        if attempt.is_over:
            return httpx.Response(200, json=_NOTHING_TO_DO | {"stop": "over", "is_over": True})
        is_over = attempt.stop == "over"
        answer = _NOTHING_TO_DO | {"stop": attempt.stop, "is_over": is_over}
        return httpx.Response(200, json=answer)

    def _take_log(self, attempt_id: str, body: dict[str, Any]) -> httpx.Response:
        attempt = self.attempts[attempt_id]
        attempt.log = attempt.log[: body["offset"]] + body["text"].encode()
        return httpx.Response(204)


def _find_route(request: httpx.Request) -> tuple[str, str]:
    address = f"{request.method} {request.url.path}"
    for call, pattern in _ROUTES.items():
        if match := pattern.fullmatch(address):
            return call, match.groupdict().get("id", "")
    raise AssertionError(f"No worker calls {address}.")


def _grant(attempt: OfferedAttempt, body: dict[str, Any]) -> dict[str, Any]:
    attempt.worker_id = body["worker_id"]
    attempt.claim += 1
    return attempt.document | {"claim": attempt.claim}


def _build_problem(status: int, code: str) -> httpx.Response:
    problem = {"code": code, "status": status, "detail": f"Refused with {code}."}
    return httpx.Response(status, json=problem)
