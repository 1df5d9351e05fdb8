"""Sweeps outside in a test: a server that decides as the real one does, and a system in memory."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
from asktell.workers import WantedMirror, WorkerClient

from service.domain.mirrors import MirrorState, Wish, settle
from service.domain.sweeps import SweepState
from service.schedulers.executors.mirrors import Look, MadeMirror, MirrorRefused, SweepMirror
from service.schedulers.mirroring import Mirroring
from service.schedulers.pace import Pace
from service.schedulers.server_calls import ServerCalls, WorkerIdentity
from tests.unit.worker_use import QUICK, URL

PACE = replace(QUICK, claim_mirrors_seconds=0.003, look_at_mirrors_seconds=0.003)
EXECUTOR = "wandb"

_CLAIM = "/mirrors/claim"
_TELL = re.compile(r"/sweeps/(?P<study>[^/]+)/mirror")
_FOLLOWED = {
    Wish.PAUSE: SweepState.PAUSED,
    Wish.RESUME: SweepState.ACTIVE,
    Wish.STOP: SweepState.STOPPING,
    Wish.CANCEL: SweepState.CANCELLED,
}


@dataclass(slots=True)
class OfferedSweep:
    """What the server knows of a sweep and its mirror.

    Attributes:
        state: Ours; a test changes it as people do.
        told: All that workers said and that got through.
    """

    document: dict[str, Any]
    state: SweepState = SweepState.ACTIVE
    external_ref: str | None = None
    url: str | None = None
    agreed: MirrorState | None = None
    problem: str | None = None
    told: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_wanted(self) -> bool:
        """Whether there is something to make, or to keep the same."""
        if self.external_ref is None:
            return self.state in (SweepState.ACTIVE, SweepState.PAUSED)
        ends = (MirrorState.FINISHED, MirrorState.CANCELLED)
        return not (self.state.is_over and self.agreed in ends)


class MirrorServer:
    """The server's side of mirrors, in memory.

    Attributes:
        sweeps: By name.
        withheld: Names of those that another worker keeps.
        claims: The bodies of all claims.
        answer: What claims are answered, if it is not None.
        answer_to_told: What is answered to what is told, if it is not None.
    """

    def __init__(self) -> None:
        self.sweeps: dict[str, OfferedSweep] = {}
        self.withheld: set[str] = set()
        self.claims: list[dict[str, Any]] = []
        self.answer: Any = None
        self.answer_to_told: Any = None
        self.is_down = False
        self.transport = httpx.MockTransport(self._handle)
        self._lost = 0

    def offer(self, study: str, **changes: Any) -> OfferedSweep:
        document = {
            "study": study,
            "sweep_id": f"id-of-{study}",
            "executor": EXECUTOR,
            "launch": {"program": "train.py"},
            "description": None,
            "objectives": [{"name": "loss", "direction": "minimize"}],
            "space": {"lr": {"type": "float", "low": 0.0, "high": 1.0}},
        }
        sweep = self.sweeps[study] = OfferedSweep(document | changes)
        return sweep

    def lose(self, times: int) -> None:
        """The next answers to what is told get lost, after it took effect."""
        self._lost = times

    def _handle(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        if self.is_down:
            return _build_problem(503, "database-unavailable")
        if request.url.path == _CLAIM:
            return self._claim(body)
        match = _TELL.fullmatch(request.url.path)
        assert match, f"No worker calls {request.url.path}."
        response = self._take(match["study"], body)
        if self.answer_to_told is not None:
            return httpx.Response(200, json=self.answer_to_told)
        if self._lost > 0:
            self._lost -= 1
            raise httpx.ReadError("The answer was lost.", request=request)
        return response

    def _claim(self, body: dict[str, Any]) -> httpx.Response:
        self.claims.append(body)
        if self.answer is not None:
            return httpx.Response(200, json=self.answer)
        mirrors = [
            sweep.document | {"external_ref": sweep.external_ref}
            for study, sweep in self.sweeps.items()
            if study not in self.withheld and sweep.is_wanted
        ]
        return httpx.Response(200, json={"mirrors": mirrors})

    def _take(self, study: str, body: dict[str, Any]) -> httpx.Response:
        if study in self.withheld:
            return _build_problem(409, "claim-lost")
        sweep = self.sweeps[study]
        sweep.told.append(body)
        if body["is_deleted"]:
            if sweep.external_ref == body["external_ref"]:
                sweep.state, sweep.external_ref, sweep.agreed = SweepState.STOPPING, None, None
                sweep.problem = body["problem"]
            return httpx.Response(200, json={"set": None})
        sweep.external_ref = body.get("external_ref") or sweep.external_ref
        sweep.url = body.get("url") or sweep.url
        sweep.problem = body["problem"]
        seen = body["seen"] and MirrorState(body["seen"])
        settlement = settle(sweep.state, agreed=sweep.agreed, seen=seen)
        sweep.agreed = settlement.agreed
        if settlement.wish is not None:
            sweep.state = _FOLLOWED[settlement.wish]
        return httpx.Response(200, json={"set": settlement.set_state})


class MemoryMirror(SweepMirror):
    """An outside system in memory.

    Attributes:
        states: Of its sweeps, by name; a test changes them as people do.
        hidden: Why some of them cannot be seen, by name.
        made: How often each of our sweeps was asked for.
        looks: What each look asked for.
        error: What every call raises, if it is not None.
        gates: A sweep whose id is in here is not made before that is set.
    """

    def __init__(self) -> None:
        self.states: dict[str, MirrorState] = {}
        self.hidden: dict[str, MirrorRefused] = {}
        self.made: Counter[str] = Counter()
        self.looks: list[frozenset[str]] = []
        self.changes: list[tuple[str, MirrorState]] = []
        self.error: Exception | None = None
        self.gates: dict[str, asyncio.Event] = {}

    async def create(self, wanted: WantedMirror) -> MadeMirror:
        self.made[wanted.sweep_id] += 1
        self._fail()
        if wanted.sweep_id in self.gates:
            await self.gates[wanted.sweep_id].wait()
        ref = build_ref(wanted.study)
        self.states.setdefault(ref, MirrorState.RUNNING)
        return MadeMirror(ref, f"https://wandb.example/{ref}")

    async def look(self, external_refs: Collection[str]) -> Mapping[str, Look]:
        self.looks.append(frozenset(external_refs))
        self._fail()
        return {ref: self.hidden.get(ref) or self.states.get(ref) for ref in external_refs}

    async def set_state(self, external_ref: str, state: MirrorState) -> None:
        self._fail()
        self.changes.append((external_ref, state))
        self.states[external_ref] = state

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


class MirrorStage:
    """A server, an outside system, and workers that come and go.

    Attributes:
        mirror_keeper: Of the last worker.
    """

    mirror_keeper: Mirroring

    def __init__(self) -> None:
        self.server = MirrorServer()
        self.outside = MemoryMirror()

    @asynccontextmanager
    async def mirroring(
        self, executors: Sequence[str] = (EXECUTOR,), *, pace: Pace = PACE
    ) -> AsyncIterator["asyncio.Task[None]"]:
        """Mirrors are kept meanwhile, by the task."""
        with WorkerClient(URL, "a-token-for-tests", transport=self.server.transport) as client:
            identity = WorkerIdentity("w1", "w", "h", "gpu", ("process", *executors), 1, "0")
            calls = ServerCalls(client, identity)
            mirroring = Mirroring(calls, dict.fromkeys(executors, self.outside), pace)
            self.mirror_keeper = mirroring
            # One that fails fails the test.
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(mirroring.run())
                yield task
                task.cancel()


def build_ref(study: str) -> str:
    """The name that `MemoryMirror` gives."""
    return f"acme/vision/{study}"


def _build_problem(status: int, code: str) -> httpx.Response:
    problem = {"code": code, "status": status, "detail": f"Refused with {code}."}
    return httpx.Response(status, json=problem)
