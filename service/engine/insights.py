"""Insights: what Optuna computes about a whole study, importances and plots, beside the server."""

import asyncio
import sys
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import structlog

from service.domain.errors import FieldError, InvalidPlot, ProcessUnavailable
from service.domain.insights import Evaluator, PlotKind
from service.engine.actor import Actor
from service.engine.committer import Ownership
from service.engine.replica.messages import Call, Plot, Rate, View

# Plots of some thousand trials are a megabyte, none is more than 16.
_MOST_KEPT_BYTES = 64 << 20
# What there is besides texts.
_BYTES_EACH = 1000
_MOST_WAITING = 16

_NOT_BY_OBJECTIVE = (PlotKind.INTERMEDIATE, PlotKind.TIMELINE, PlotKind.PARETO_FRONT)
_BY_PARAMS = (
    PlotKind.PARALLEL_COORDINATE,
    PlotKind.CONTOUR,
    PlotKind.SLICE,
    PlotKind.RANK,
    PlotKind.IMPORTANCES,
)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a client wants to see.

    Attributes:
        kind: None: the importances as numbers.
        objective: Name of one of several.
        params: Names as Optuna has them, sorted; None: all.
        evaluator: None: Optuna's own choice.
    """

    kind: PlotKind | None = None
    objective: str | None = None
    params: tuple[str, ...] | None = None
    evaluator: Evaluator | None = None


@dataclass(frozen=True, slots=True)
class _Key:
    # Not the study's id: released and adopted, a study counts its revisions from 0 again.
    ownership: Ownership
    wanted: Wanted


@dataclass(frozen=True, slots=True)
class _Kept:
    revision: int
    answer: Mapping[str, Any]
    n_bytes: int


@dataclass(slots=True, eq=False)
class _Computation:
    """One that is under way.

    Attributes:
        revision: What it shows; None: it has not begun, and will show the latest.
    """

    task: asyncio.Task[Mapping[str, Any]] = field(init=False)
    revision: int | None = None


class Insights:
    """Has them computed, each once as long as its study does not change. Belongs to the event loop.

    One of a study is computed at a time. Whoever wants what is not yet begun gets that.

    Args:
        threads: Where to wait for the processes that compute them.
        places: How many may be computed at a time.
        most_kept_bytes: Of what is kept for whoever asks again.
    """

    def __init__(
        self, threads: Executor, *, places: int, most_kept_bytes: int = _MOST_KEPT_BYTES
    ) -> None:
        self._threads = threads
        self._most_kept_bytes = most_kept_bytes
        self._places = asyncio.Semaphore(places)
        self._turns: WeakKeyDictionary[Ownership, asyncio.Lock] = WeakKeyDictionary()
        self._latest: dict[_Key, _Computation] = {}
        # By last use, the latest one last.
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()

    async def show(self, actor: Actor, wanted: Wanted) -> Any:
        """Returns a plot as Plotly's JSON text, or the importances by name, the largest first.

        Of what is committed.

        Raises:
            InvalidPlot: The study or its trials have no such thing.
            ProcessUnavailable: It could not be computed just now.
        """
        call = _build_call(wanted, _build_view(actor, wanted))
        key = _Key(actor.ownership, wanted)
        kept = self._kept.get(key)
        if kept is not None and kept.revision == actor.revision:
            self._kept.move_to_end(key)
            return _read(kept.answer)
        # Shielded: whoever asks first may go away, others wait on.
        return _read(await asyncio.shield(self._join(actor, key, call)))

    def _join(self, actor: Actor, key: _Key, call: Call) -> asyncio.Task[Mapping[str, Any]]:
        latest = self._latest.get(key)
        if latest is not None and latest.revision in (None, actor.revision):
            return latest.task
        self._check_room()
        computation = self._latest[key] = _Computation()
        computation.task = asyncio.create_task(self._compute(computation, actor, key, call))
        computation.task.add_done_callback(partial(self._forget, key, computation))
        return computation.task

    def _check_room(self) -> None:
        waiting = sum(each.revision is None for each in self._latest.values())
        if waiting >= _MOST_WAITING:
            raise ProcessUnavailable(
                "Too many plots and importances are waited for. Try again shortly."
            )

    async def _compute(
        self, computation: _Computation, actor: Actor, key: _Key, call: Call
    ) -> Mapping[str, Any]:
        async with self._turns.setdefault(key.ownership, asyncio.Lock()), self._places:
            actor.check_ours()
            computation.revision = revision = actor.revision
            look, committed = actor.look(), actor.confirm()
            await committed
            loop = asyncio.get_running_loop()
            answer = await loop.run_in_executor(self._threads, look.ask, call)
        if answer.get("error") != "defect":
            self._keep(key, _Kept(revision, answer, _count_bytes(key.wanted, answer)))
        return answer

    def _forget(self, key: _Key, computation: _Computation, task: asyncio.Task[Any]) -> None:
        if self._latest.get(key) is computation:
            del self._latest[key]
        if not task.cancelled():
            # Perhaps nobody waits any more who could retrieve it.
            task.exception()

    def _keep(self, key: _Key, kept: _Kept) -> None:
        for each, earlier in list(self._kept.items()):
            is_over = each.ownership is key.ownership and earlier.revision != kept.revision
            if is_over or each.ownership.error is not None:
                del self._kept[each]
        self._kept[key] = kept
        while sum(each.n_bytes for each in self._kept.values()) > self._most_kept_bytes:
            self._kept.popitem(last=False)


def _count_bytes(wanted: Wanted, answer: Mapping[str, Any]) -> int:
    texts = [*answer.values(), *(wanted.params or ())]
    return _BYTES_EACH + sum(map(sys.getsizeof, texts))


def _build_call(wanted: Wanted, view: View) -> Call:
    return Rate(view) if wanted.kind is None else Plot(wanted.kind, view)


def _build_view(actor: Actor, wanted: Wanted) -> View:
    errors = [*_list_unused(wanted), *_list_objective_problems(actor, wanted)]
    if errors:
        raise InvalidPlot(errors[0].message, errors=errors)
    names = [objective.name for objective in actor.spec.objectives]
    objective = names.index(wanted.objective) if wanted.objective and len(names) > 1 else None
    return View(objective, wanted.params, wanted.evaluator or Evaluator.PED_ANOVA)


def _list_unused(wanted: Wanted) -> list[FieldError]:
    kind = wanted.kind or PlotKind.IMPORTANCES
    unused = {
        "objective": wanted.objective is not None and kind in _NOT_BY_OBJECTIVE,
        "params": wanted.params is not None and kind not in _BY_PARAMS,
        "evaluator": wanted.evaluator is not None and kind is not PlotKind.IMPORTANCES,
    }
    return [
        FieldError(name, f"{name} has no effect on the plot {kind}; leave it out.")
        for name, is_unused in unused.items()
        if is_unused
    ]


def _list_objective_problems(actor: Actor, wanted: Wanted) -> list[FieldError]:
    names = [objective.name for objective in actor.spec.objectives]
    known = ", ".join(names)
    if wanted.objective is not None and wanted.objective not in names:
        message = f"There is no objective {wanted.objective[:80]!r}. Use one of {known}."
        return [FieldError("objective", message)]
    if wanted.objective is None and len(names) > 1 and wanted.kind not in _NOT_BY_OBJECTIVE:
        message = f"The study has several objectives. Say which one: objective is one of {known}."
        return [FieldError("objective", message)]
    return []


def _read(answer: Mapping[str, Any]) -> Any:
    match answer.get("error"):
        case None:
            return answer["value"]
        case "value":
            raise InvalidPlot(f"This cannot be shown: {answer['message']}")
        case "import":
            raise InvalidPlot(f"This server lacks a package for that: {answer['message']}")
    _log.error("insight.failed", traceback=answer["traceback"])
    raise RuntimeError(answer["message"])
