"""What a run is called, and what its program is given, whoever starts it."""

from typing import Any

from service.domain.attempts import parse_attempt_id
from service.schedulers.executors.base import Launch, LaunchRefused

_LABELS = "asktell"


def build_run_name(launch: Launch) -> str:
    """Returns the name that people see; a run that is resumed keeps the one that it began with."""
    begun = parse_attempt_id(launch.run_id)
    attempt = launch.attempt if begun is None else begun[2]
    return name_run(launch.trial, attempt)


def name_run(trial: int, attempt: int) -> str:
    """Returns the name of an attempt's run."""
    return f"trial-{trial}" + (f"-attempt-{attempt}" if attempt > 1 else "")


def build_run_config(launch: Launch) -> dict[str, Any]:
    """Returns the parameters and our labels.

    Raises:
        LaunchRefused: A parameter has the name of the labels, by which runs are told apart.
    """
    if _LABELS in launch.params:
        raise LaunchRefused(
            f"A parameter is called {_LABELS}; give it another name: the config of a run says "
            "there which trial it is."
        )
    labels = {"study": launch.study, "trial": launch.trial, "attempt": launch.attempt}
    return {**launch.params, _LABELS: labels}
