"""Insights: what Optuna computes about a whole study, importances and plots, beside the server."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from service.domain.errors import FieldError, InvalidPlot
from service.engine.actor import Actor
from service.engine.replica.copies import Look
from service.engine.replica.messages import Call, Draw, Evaluator, PlotKind, Rate, View

# Plots of some thousand trials are a megabyte.
_MOST_KEPT = 32

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
        params: Names as Optuna has them; None: all.
        evaluator: None: Optuna's own choice.
    """

    kind: PlotKind | None = None
    objective: str | None = None
    params: tuple[str, ...] | None = None
    evaluator: Evaluator | None = None


@dataclass(frozen=True, slots=True)
class _Key:
    study_id: int
    revision: int
    wanted: Wanted


class Insights:
    """Has them computed, each once as long as its study does not change. Belongs to the event loop.

    Args:
        threads: Where to wait for the processes that compute them.
    """

    def __init__(self, threads: Executor) -> None:
        self._threads = threads
        self._kept: OrderedDict[_Key, asyncio.Task[Any]] = OrderedDict()

    async def show(self, actor: Actor, wanted: Wanted) -> Any:
        """Returns a plot as Plotly's JSON text, or the importances by name, the largest first.

        Of what is committed.

        Raises:
            InvalidPlot: The study or its trials have no such thing.
            ProcessUnavailable: It could not be computed just now.
        """
        view = _build_view(actor, wanted)
        key = _Key(actor.study_id, actor.revision, wanted)
        task = self._kept.get(key)
        if task is None:
            computing = self._compute(actor.look(), actor.confirm(), _build_call(wanted, view))
            task = self._kept[key] = asyncio.create_task(computing)
            task.add_done_callback(partial(self._drop_failed, key))
            self._drop_old(key)
        self._kept.move_to_end(key)
        # Shielded: whoever asks first may go away, others wait on.
        return await asyncio.shield(task)

    async def _compute(self, look: Look, committed: asyncio.Future[None], call: Call) -> Any:
        await committed
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(self._threads, look.ask, call)
        return _read(answer)

    def _drop_failed(self, key: _Key, task: asyncio.Task[Any]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._kept.pop(key, None)

    def _drop_old(self, latest: _Key) -> None:
        for key, task in list(self._kept.items()):
            is_over = key.study_id == latest.study_id and key.revision != latest.revision
            if task.done() and (is_over or len(self._kept) > _MOST_KEPT):
                self._kept.pop(key, None)


def _build_call(wanted: Wanted, view: View) -> Call:
    return Rate(view) if wanted.kind is None else Draw(wanted.kind, view)


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
            raise InvalidPlot(f"There is nothing to show: {answer['message']}")
        case "import":
            raise InvalidPlot(f"This server lacks a package for that: {answer['message']}")
    _log.error("insight.failed", traceback=answer["traceback"])
    raise RuntimeError(answer["message"])
