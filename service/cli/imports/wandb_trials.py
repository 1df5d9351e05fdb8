"""Runs of a sweep or a project of W&B as trials."""

import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from service.cli.documents import to_document
from service.cli.failures import WrongUse
from service.cli.imports.found import ORIGIN_ATTR, Found, FoundTrial, Target
from service.cli.imports.wandb_runs import (
    ENDED_STATES,
    WandbPath,
    WandbReader,
    WandbRun,
    open_wandb,
)
from service.cli.imports.wandb_space import RunSpace, choose_space
from service.cli.imports.wandb_wishes import WandbWishes, choose_objectives
from service.domain.arguments import did_you_mean
from service.schedulers.executors.wandb.runs.metric_values import to_number
from service.schedulers.executors.wandb.runs.run_metrics import RunMetrics
from service.search_space import flatten

RUN_ATTR, URL_ATTR = "wandb_run", "wandb_url"

_MOST_SHOWN = 20
_STATE_WORDS = {"failed": "failed", "crashed": "crashed", "killed": "was killed"}


def read_wandb(
    path: WandbPath, wishes: WandbWishes, *, name: str, existing: Target | None
) -> Found:
    """Returns the runs that have ended as trials, from the oldest on.

    Args:
        name: Of the study here.
        existing: That study, if there is one.

    Raises:
        CannotStart: Options, source and study do not go together, or W&B cannot be read.
    """
    with open_wandb(path) as reader:
        config = {} if path.sweep is None else reader.read_sweep_config()
        objectives = choose_objectives(wishes, config, existing)
        runs = reader.list_runs(wishes.filters)
        ended = [run for run in runs if run.state in ENDED_STATES]
        configs = [run.config for run in ended]
        space = choose_space(path, config, existing, configs, guesses=wishes.guesses_space)
        target = existing or Target(name, objectives, space.document, is_new=True)
        missing = [run for run in ended if _name_origin(run) not in target.origins]
        reading = _Reading(reader, wishes, objectives, space, is_declared=target.space is not None)
        if missing:
            reading.check_logged(ended)
        trials = [reading.describe(run) for run in missing]
    return Found(
        source=f"W&B's {'project' if path.sweep is None else 'sweep'} {path}",
        target=target,
        trials=trials,
        n_known=len(ended) - len(missing),
        left_out=Counter(run.state for run in runs if run.state not in ENDED_STATES),
        notes=space.notes,
    )


class _Reading:
    def __init__(
        self,
        reader: WandbReader,
        wishes: WandbWishes,
        objectives: Mapping[str, str],
        space: RunSpace,
        *,
        is_declared: bool,
    ) -> None:
        self._reader = reader
        self._wishes = wishes
        self._objectives = objectives
        self._space = space
        self._distributions = None if is_declared else space.list_distributions()

    def describe(self, run: WandbRun) -> FoundTrial:
        metrics = self._read_metrics(run)
        params = self._space.pick_params(run.config)
        document = {
            **self._describe_end(run, metrics),
            "params": params,
            "distributions": self._choose_distributions(params),
            "intermediate_values": self._list_points(metrics),
            "user_attrs": {
                RUN_ATTR: run.run_id,
                URL_ATTR: run.url,
                ORIGIN_ATTR: _name_origin(run),
            },
            "started_at": _to_moment(run.created_at),
            "finished_at": _to_moment(run.heard_at or run.created_at),
        }
        given = {key: value for key, value in document.items() if value is not None}
        return FoundTrial(run.run_id, to_document(given))

    def check_logged(self, runs: Sequence[WandbRun]) -> None:
        """Checks that each metric is one of some run.

        Raises:
            WrongUse: With the names of what the runs have.
        """
        unknown = set(self._objectives)
        for run in runs:
            unknown -= self._read_summary(run).summary.list_values().keys()
        for run in runs:
            # A program may have kept it out of the summary.
            rows = self._read_metrics(run).rows if unknown else ()
            unknown -= {name for row in rows for name in row.values}
        if unknown:
            raise WrongUse(_describe_unknown(min(unknown), _list_logged(runs)))

    def _read_summary(self, run: WandbRun) -> RunMetrics:
        metrics = RunMetrics(
            list(self._objectives),
            list(self._objectives.values()),
            step_metric=self._wishes.step_metric,
            value=self._wishes.value,
            max_rows=sys.maxsize,
        )
        metrics.summary.replace(run.summary)
        return metrics

    def _read_metrics(self, run: WandbRun) -> RunMetrics:
        metrics = self._read_summary(run)
        if len(self._objectives) == 1 or not metrics.is_by_summary:
            for row in self._reader.read_history(run, metrics.keys):
                metrics.add(row, row["_step"])
        return metrics

    def _describe_end(self, run: WandbRun, metrics: RunMetrics) -> dict[str, Any]:
        if run.state != "finished":
            return {"state": "FAIL", "reason": f"The run {_STATE_WORDS[run.state]} at W&B."}
        found = metrics.list_values()
        values = [found.get(name, math.nan) for name in self._objectives]
        without = [
            name
            for name, value in zip(self._objectives, values, strict=True)
            if not math.isfinite(value)
        ]
        if without:
            reason = f"The run finished without a number for {', '.join(without)}."
            return {"state": "FAIL", "reason": reason}
        return {"state": "COMPLETE", "values": values}

    def _list_points(self, metrics: RunMetrics) -> Sequence[Mapping[str, Any]]:
        """Of a step that comes twice the first, as with reports."""
        if len(self._objectives) > 1:
            return []
        points: dict[int, float] = {}
        for row in metrics.rows:
            for value in row.values.values():
                points.setdefault(row.step, value)
        return [{"step": step, "value": value} for step, value in points.items()]

    def _choose_distributions(self, params: Mapping[str, Any]) -> dict[str, Any] | None:
        known = self._distributions
        return None if known is None else {name: known[name] for name in params}


def _list_logged(runs: Sequence[WandbRun]) -> list[str]:
    """The numbers in the runs' summaries, by name, without W&B's own."""
    found = {
        name
        for run in runs
        for name, value in flatten(run.summary)
        if not name.startswith("_") and to_number(value) is not None
    }
    return sorted(found)


def _describe_unknown(metric: str, logged: Sequence[str]) -> str:
    if not logged:
        return f"No run has logged {metric}, or any other number, so there is nothing to import."
    shown = ", ".join(logged[:_MOST_SHOWN]) + (", …" if logged[_MOST_SHOWN:] else "")
    return (
        f"No run has logged {metric}. Say with --metric which of {shown} the runs are judged by."
        f"{did_you_mean(metric, logged)}"
    )


def _name_origin(run: WandbRun) -> str:
    return f"wandb/{run.path}"


def _to_moment(text: str) -> str:
    """W&B's older times are in UTC without saying so."""
    return text if text.endswith("Z") else f"{text}Z"
