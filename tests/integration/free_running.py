"""Eight clients that use one study at once, in an order that nobody plans."""

import asyncio
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from service.domain.errors import StudyFinished
from service.domain.trials import Outcome, TrialState
from service.engine.actor import Actor
from service.engine.ask import Ask, ask
from service.engine.enqueue import EnqueuedTrial, enqueue
from service.engine.import_trials import ImportedTrial, import_trials
from service.engine.report import report
from service.engine.suggest import suggest
from service.engine.tell import tell

_N_CLIENTS = 8
_ENDS = (*[TrialState.COMPLETE] * 7, TrialState.PRUNED, TrialState.FAIL)

FLAT = {
    "c": {"type": "categorical", "choices": ["a", "b"]},
    "n": {"type": "int", "low": 1, "high": 3},
    "x": {"type": "float", "low": 0.0, "high": 1.0},
    "y": {"type": "float", "low": 1e-3, "high": 1.0, "log": True},
}
CONDITIONAL = {**FLAT, "y": {**FLAT["y"], "when": {"c": ["b"]}}}
FINITE = {**FLAT, "x": {**FLAT["x"], "step": 0.5}, "y": {"type": "int", "low": 0, "high": 1}}
FINITE_CONDITIONAL = {**FINITE, "y": {**FINITE["y"], "when": {"c": ["b"]}}}


@dataclass(slots=True)
class Job:
    """A trial that runs; whichever client is free goes on with it.

    Attributes:
        stage: How often its code has asked for parameters.
        step: Of its next report.
    """

    number: int
    stage: int
    step: int = 0
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class FreeRun:
    """What the clients do with one study, and what they are at: it survives the engine.

    Attributes:
        space: What each trial's parameters are.
        is_declared: Whether the study knows, or only the trials' code.
        fixed: Parameters that some trials are enqueued or asked for with.
        has_constraints: Whether trials are told with one.
    """

    space: Mapping[str, Mapping[str, Any]]
    is_declared: bool
    fixed: Mapping[str, Any] = field(default_factory=lambda: {"n": 2})
    n_objectives: int = 1
    has_constraints: bool = False
    chance: random.Random = field(default_factory=lambda: random.Random(11))
    idle: list[Job] = field(default_factory=list)
    is_finished: bool = False

    async def go_on(self, actor: Actor, *, asks: int) -> None:
        """Lets the clients bring in trials so many times and work on all; some stay unfinished.

        Once the study hands out no more, all are worked on until they have ended.
        """
        left = iter(range(asks))
        async with asyncio.TaskGroup() as clients:
            for _ in range(_N_CLIENTS):
                clients.create_task(self._be_client(actor, left))

    async def _be_client(self, actor: Actor, left: Iterator[int]) -> None:
        while True:
            if self.idle and (self.is_finished or self.chance.random() < 0.7):
                await self._work(actor, self.idle.pop(self.chance.randrange(len(self.idle))))
            elif self.is_finished or next(left, None) is None:
                return
            else:
                await self._bring_in(actor)

    async def _bring_in(self, actor: Actor) -> None:
        chosen = self.chance.random()
        try:
            if chosen < 0.1:
                await enqueue(actor, [EnqueuedTrial(self.fixed)])
            elif chosen < 0.2:
                await import_trials(actor, [self._build_import()])
            else:
                await self._ask(actor)
        except StudyFinished:
            self.is_finished = True

    async def _ask(self, actor: Actor) -> None:
        is_whole = self.is_declared or self.chance.random() < 0.3
        command = Ask(
            count=self.chance.choice((1, 1, 2)),
            params=self.fixed if self.chance.random() < 0.2 else None,
            distributions=self.space if is_whole and not self.is_declared else None,
        )
        for asked in await ask(actor, command):
            self.idle.append(Job(asked.number, stage=2 if is_whole else 0))

    async def _work(self, actor: Actor, job: Job) -> None:
        if job.stage < 2:
            job.params |= await suggest(actor, job.number, self._declare_late(job))
            job.stage += 1
        elif self.n_objectives == 1 and self.chance.random() < 0.5:
            await report(actor, job.number, [(job.step, self.chance.random())])
            job.step += 1
        else:
            await tell(actor, job.number, self._build_outcome())
            return
        self.idle.append(job)

    def _declare_late(self, job: Job) -> dict[str, Any]:
        names = ("c", "n") if job.stage == 0 else ("x", "y")
        plain = {name: dict(self.space[name]) for name in names}
        when = {name: declared.pop("when", None) for name, declared in plain.items()}
        return {
            name: plain[name]
            for name in names
            if when[name] is None or job.params["c"] in when[name]["c"]
        }

    def _build_outcome(self) -> Outcome:
        state = self.chance.choice(_ENDS)
        return Outcome(
            state,
            self._draw_values() if state is TrialState.COMPLETE else None,
            constraints={"size": self.chance.random() - 0.5} if self.has_constraints else None,
        )

    def _build_import(self) -> ImportedTrial:
        y = 1 if self.space["y"]["type"] == "int" else 0.25
        plain = {n: {k: v for k, v in d.items() if k != "when"} for n, d in self.space.items()}
        return ImportedTrial(
            TrialState.COMPLETE,
            {"c": "b", "n": 1, "x": 0.5, "y": y},
            distributions=None if self.is_declared else plain,
            values=self._draw_values(),
        )

    def _draw_values(self) -> tuple[float, ...]:
        return tuple(self.chance.random() for _ in range(self.n_objectives))
