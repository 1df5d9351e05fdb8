"""Studies and trials as tables for people."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import typer
from asktell._spaces import is_constant, is_parameter

from service.cli.calls import Document
from service.cli.formats import (
    describe_params,
    flatten,
    format_age,
    format_number,
    format_took,
    format_value,
    to_line,
)
from service.cli.tables import print_line, print_table

TRIAL_FIELDS = ["state", "params", "values", "reason", "started_at", "finished_at"]
"""What a table of trials shows, beside their last steps, which lists of trials have alone."""


def print_studies(studies: Sequence[Document], now: datetime) -> None:
    """One line for each study."""
    if not studies:
        typer.echo("There are no studies; `asktell study create NAME` makes one.")
        return
    rows = [
        (
            study["name"],
            study["state"],
            _describe_progress(study),
            str(study["counts"]["running"]),
            _format(study["best"]["value"]) if study["best"] else "-",
            f"{format_age(datetime.fromisoformat(study['last_activity_at']), now)} ago",
        )
        for study in studies
    ]
    print_table(("study", "state", "trials", "running", "best", "active"), rows)


def print_study(
    study: Document, best: Document | None, used: Sequence[Document], now: datetime
) -> None:
    """One study, with its best trial and its search space.

    Args:
        used: From what its parameters were drawn, as `/distributions` has it, if it declares none.
    """
    why = f" ({study['stop_reason']})" if study["stop_reason"] else ""
    print_line(f"{to_line(study['name'])}: {study['state']}{why}")
    print_line(_describe_counts(study))
    if best is not None:
        _print_best_lines(study, best)
    for label, words in _list_facts(study, now):
        print_line(f"{label}: {to_line(words)}")
    if study["space"]:
        rows = [(name, *_describe_part(part)) for name, part in _list_parts(study["space"])]
        print_table(("parameter", "type", "range"), rows)
    elif used:
        print_table(("parameter", "type", "range last seen"), _list_last_seen(used))


def print_best(study: Document, trial: Document) -> None:
    """The best trial in two lines."""
    _print_best_lines(study, trial)


def print_trials(study: Document, trials: Sequence[Document]) -> None:
    """One line for each trial, which has `TRIAL_FIELDS`, and `last_step` if there are reports."""
    if not trials:
        typer.echo("There are no such trials.")
        return
    names = [objective["name"] for objective in study["objectives"]]
    reasons = [trial["reason"] or "" for trial in trials]
    # A study with several objectives takes no reports.
    has_steps = len(names) == 1
    steps = ("last step",) if has_steps else ()
    heads = ("trial", "state", *names, *steps, "took", "parameters")
    rows = [
        (
            str(trial["number"]),
            trial["state"],
            *_describe_values(trial["values"], len(names)),
            *([_describe_step(trial["last_step"])] if has_steps else ()),
            _describe_time(trial),
            describe_params(trial["params"]),
            *([reason] if any(reasons) else ()),
        )
        for trial, reason in zip(trials, reasons, strict=True)
    ]
    print_table((*heads, "reason") if any(reasons) else heads, rows)


def _describe_progress(study: Document) -> str:
    counts = study["counts"]
    ended = counts["complete"] + counts["pruned"] + counts["fail"]
    return f"{ended}/{study['progress']['max_trials'] or '∞'}"


def _describe_counts(study: Document) -> str:
    words = {"fail": "failed"}
    counts = study["counts"]
    states = ("complete", "pruned", "fail", "running", "waiting")
    return ", ".join(f"{counts[state]} {words.get(state, state)}" for state in states)


def _print_best_lines(study: Document, trial: Document) -> None:
    objective = to_line(study["objectives"][0]["name"])
    print_line(f"best {objective} {_format(trial['values'][0])} (trial {trial['number']})")
    print_line(f"  {describe_params(trial['params'])}")


def _list_facts(study: Document, now: datetime) -> Iterator[tuple[str, str]]:
    goals = (f"{goal['direction']} {goal['name']}" for goal in study["objectives"])
    yield "objective", ", ".join(goals)
    yield "sampler", study["sampler"]["type"]
    yield "pruner", study["pruner"]["type"] if study["pruner"] else "none"
    limits = {name: limit for name, limit in study["budget"].items() if limit is not None}
    yield "budget", describe_params(limits) or "no limit"
    yield "parallelism", str(study["parallelism"] or "no limit")
    yield (
        "last change",
        (f"{format_age(datetime.fromisoformat(study['last_activity_at']), now)} ago"),
    )


def _list_last_seen(used: Sequence[Document]) -> list[tuple[str, str, str]]:
    """Of each parameter what its newest trial was drawn from."""
    by_newest = sorted(used, key=lambda each: each["trials"][-1][1])
    last = {each["name"]: each["distribution"] for each in by_newest}
    return [(name, *_describe_part(part)) for name, part in sorted(last.items())]


def _list_parts(space: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Parameters of a declared space by their full names."""
    for name, part in space.items():
        if not isinstance(part, Mapping) or is_constant(part) or is_parameter(part):
            yield name, part
        else:
            yield from ((f"{name}.{inner}", each) for inner, each in _list_parts(part))


def _describe_part(part: Any) -> tuple[str, str]:
    if not isinstance(part, Mapping):
        return "constant", format_value(part)
    if is_constant(part):
        return "constant", format_value(part["value"])
    if "type" not in part and isinstance(part.get("name"), str):
        # Optuna's own form.
        kind = part["name"].removesuffix("Distribution").lower()
        attributes = dict(part["attributes"])
        if kind == "int" and attributes.get("step") == 1:
            # It says so though nobody did.
            del attributes["step"]
        return _describe_part({"type": kind, **attributes})
    if "choices" in part:
        return part["type"], ", ".join(map(str, part["choices"]))
    bounds = (
        [f"{format_value(part['low'])} … {format_value(part['high'])}"] if "low" in part else []
    )
    rest = {key: part[key] for key in part if key not in ("type", "low", "high")}
    words = (
        f"{key}={value}" for key, value in flatten(rest) if value is not None and value is not False
    )
    return part["type"], " ".join([*bounds, *words])


def _describe_values(values: Sequence[Any] | None, count: int) -> Sequence[str]:
    return ["-"] * count if values is None else list(map(_format, values))


def _describe_step(step: int | None) -> str:
    return "-" if step is None else str(step)


def _describe_time(trial: Document) -> str:
    if trial["started_at"] is None or trial["finished_at"] is None:
        return "-"
    started, ended = map(datetime.fromisoformat, (trial["started_at"], trial["finished_at"]))
    return format_took(max(0.0, (ended - started).total_seconds()))


def _format(value: float | str) -> str:
    """A value of the API, where NaN and infinities are text."""
    return value if isinstance(value, str) else format_number(value)
