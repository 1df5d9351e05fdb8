"""What is started in Flyte for an attempt: a pure function of its launch."""

from collections.abc import Mapping
from typing import Any

from service.domain.attempts import parse_attempt_id
from service.domain.flyte import LABEL_OF_ATTEMPT
from service.schedulers.executors.base import Launch
from service.schedulers.executors.flyte.api import NewExecution

_OPTIONS = (
    "interruptible",
    "cluster_pool",
    "service_account",
    "iam_role",
    "overwrite_cache",
    "raw_output_prefix",
    "max_parallelism",
)


def build_execution(launch: Launch, url_for_jobs: str | None) -> NewExecution:
    """What an attempt's execution is to be.

    Args:
        url_for_jobs: Of the server, as programs in Flyte reach it; None: as the launch says.
    """
    arguments = launch.arguments
    ours = dict(launch.environment)
    if url_for_jobs is not None:
        ours["ASKTELL_URL"] = url_for_jobs
    return NewExecution(
        inputs=build_inputs(arguments, launch.params),
        labels={**(arguments.get("labels") or {}), **_build_labels(launch)},
        annotations={**(arguments.get("annotations") or {}), "asktell-study": launch.study},
        environment={**(arguments.get("environment") or {}), **ours},
        options=_choose_options(arguments),
    )


def build_inputs(arguments: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """What an execution gets: the inputs that are always the same, and a trial's parameters."""
    names = arguments.get("input_names") or {}
    given = {names.get(name, name): value for name, value in params.items()}
    return {**(arguments.get("inputs") or {}), **given}


def _build_labels(launch: Launch) -> dict[str, str]:
    parsed = parse_attempt_id(launch.attempt_id)
    sweep = launch.attempt_id if parsed is None else parsed[0]
    return {
        "asktell-sweep": sweep,
        "asktell-trial": str(launch.trial),
        LABEL_OF_ATTEMPT: launch.attempt_id,
    }


def _choose_options(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {name: arguments.get(name) for name in _OPTIONS if arguments.get(name) is not None}
