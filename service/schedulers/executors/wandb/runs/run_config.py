"""What a run is called, and what its program is given, whoever starts it."""

from typing import Any

from service.domain.attempts import parse_attempt_id
from service.schedulers.executors.base import Launch

_LABELS = "asktell"


def build_run_name(launch: Launch) -> str:
    """Returns the name that people see; a run that is resumed keeps the one that it began with."""
    begun = parse_attempt_id(launch.run_id)
    attempt = launch.attempt if begun is None else begun[2]
    return f"trial-{launch.trial}" + (f"-attempt-{attempt}" if attempt > 1 else "")


def build_run_config(launch: Launch) -> dict[str, Any]:
    """Returns the parameters and our labels; a parameter of the same name is more important."""
    labels = {"study": launch.study, "trial": launch.trial, "attempt": launch.attempt}
    return {_LABELS: labels, **launch.params}
