"""What a program finds in its environment that makes its run ours."""

import json
from collections.abc import Iterable, Mapping

from service.schedulers.executors.base import Launch
from service.schedulers.executors.connection.system import matches
from service.schedulers.executors.wandb.connection.system import WAY_TO_WANDB
from service.schedulers.executors.wandb.runs.run_config import build_run_config, build_run_name
from service.schedulers.executors.wandb.runs.runs import find_entity, find_project
from service.schedulers.executors.wandb.runs.sweep_names import find_sweep_name

_DEFAULT_JOB_TYPE = "trial"

# How and where wandb works is the operator's; what only one run has is not taken from a worker.
_OF_ONE_RUN = (
    *("WANDB_RUN_*", "WANDB_NAME", "WANDB_TAGS", "WANDB_JOB_TYPE", "WANDB_NOTES", "WANDB_DIR"),
    *("WANDB_CONFIG", "WANDB_CONFIG_[0-9]*", "WANDB_CONFIG_PATHS", "WANDB_LAUNCH*"),
    *("WANDB_SWEEP_*", "WANDB_RESUME*", "WANDB_FORK_FROM", "WANDB_PROGRAM*", "WANDB_ARGS"),
    *("WANDB_PROJECT", "WANDB_ENTITY", "WANDB_MODE", "WANDB_DISABLED", "WANDB_SERVICE"),
    *("WANDB_ARTIFACTS", "WANDB_AGENT_*", "WANDB_X_SKIP_TRANSACTION_LOG", "WANDB_X_SYNC*"),
    "WANDB_X_FILES_DIR",
)
_WHERE_A_RUN_IS = ("WANDB_ENTITY", "WANDB_PROJECT", "WANDB_RUN_ID")
# Runs that are not sent anywhere need no key.
_OF_A_SERVER = (
    *("WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_CREDENTIALS_FILE"),
    *("WANDB_X_EXTRA_HTTP_HEADERS", "WANDB_X_PROXIES", "WANDB_HTTP_PROXY", "WANDB_HTTPS_PROXY"),
)

# W&B's own limits; what is longer is cut, for no run should fail by its label.
_MAX_NAME = 128
_MAX_TAG = 64
# Linux takes 128 KiB of a variable, its name and its end included.
_MAX_CONFIG = 100_000


def build_run_environment(
    launch: Launch, worker_environment: Mapping[str, str], *, folder: str, is_online: bool
) -> dict[str, str]:
    """Returns the variables by which an unchanged program becomes the run of this attempt.

    WANDB_LAUNCH has wandb take the config that is given here over whatever the program says, lock
    it, and ignore the project, entity and run id that the program gives to `wandb.init`.

    Args:
        folder: What WANDB_DIR is to be. It has to exist: wandb goes elsewhere if it does not.
        is_online: Whether W&B gets the run while it runs.
    """
    environment = {
        **_pass_settings(worker_environment, is_online=is_online),
        **_name_run(launch, worker_environment),
        **_build_config(launch),
        "WANDB_LAUNCH": "True",
        "WANDB_DIR": folder,
        "WANDB_MODE": "online" if is_online else "offline",
        # The log is what the run is followed by; 15 s is wandb's own.
        "WANDB_X_TRANSACTION_LOG_FLUSH_INTERVAL": "1",
    }
    if launch.is_resumed:
        environment["WANDB_RESUME"] = "allow"
    environment |= _join_sweep(launch, worker_environment) | dict(launch.environment)
    return environment | _say_again(_name_run(launch, worker_environment))


def _pass_settings(worker: Mapping[str, str], *, is_online: bool) -> dict[str, str]:
    wanted = ("WANDB_*", *WAY_TO_WANDB) if is_online else ("WANDB_*",)
    kept_back = _OF_ONE_RUN if is_online else (*_OF_ONE_RUN, *_OF_A_SERVER)
    passed = {
        name: value
        for name, value in worker.items()
        if matches(name, wanted) and not matches(name, kept_back)
    }
    # Metrics are in W&B, and a person's stop is here, after so many seconds; wandb's own is 15.
    return {"WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "5"} | passed


def _name_run(launch: Launch, worker: Mapping[str, str]) -> dict[str, str]:
    """A name that is empty in the end is left out."""
    arguments = launch.arguments
    names = {
        "WANDB_RUN_ID": launch.run_id or launch.attempt_id,
        "WANDB_PROJECT": find_project(arguments, worker),
        "WANDB_ENTITY": find_entity(arguments, worker) or "",
        "WANDB_NAME": build_run_name(launch),
        "WANDB_RUN_GROUP": _cut(arguments.get("group") or launch.study, _MAX_NAME),
        "WANDB_JOB_TYPE": _cut(arguments.get("job_type") or _DEFAULT_JOB_TYPE, _MAX_NAME),
        "WANDB_TAGS": _join_tags(arguments.get("tags") or ()),
    }
    return {name: value for name, value in names.items() if value}


def _say_again(names: Mapping[str, str]) -> dict[str, str]:
    """Has wandb ignore the project, entity and run id of variables that the program sets itself.

    WANDB_LAUNCH does so only for what is given to `wandb.init`, and no settings but the program's
    own come after the variables. But wandb takes their names in any case, and of two spellings the
    later one (`Settings.update_from_env_vars`); a variable that is set again keeps its place.
    """
    again = (name for name in _WHERE_A_RUN_IS if name in names)
    return {f"WANDB_{name.removeprefix('WANDB_').lower()}": names[name] for name in again}


def _join_sweep(launch: Launch, worker: Mapping[str, str]) -> dict[str, str]:
    """Has wandb send the run to the sweep's mirror; offline this waits for `wandb sync`."""
    entity = find_entity(launch.arguments, worker)
    sweep = find_sweep_name(launch.mirror_ref, entity, find_project(launch.arguments, worker))
    return {} if sweep is None else {"WANDB_SWEEP_ID": sweep}


def _join_tags(tags: Iterable[str]) -> str:
    """In the variable a comma separates tags: one within a tag becomes a space."""
    cut = (_cut(" ".join(tag.replace(",", " ").split()), _MAX_TAG) for tag in tags)
    return ",".join(dict.fromkeys(tag for tag in cut if tag))


def _cut(text: str, limit: int) -> str:
    return text.replace("\0", "").strip()[:limit].strip()


def _build_config(launch: Launch) -> dict[str, str]:
    # ASCII: as many bytes as characters.
    text = json.dumps(build_run_config(launch))
    if len(text) <= _MAX_CONFIG:
        return {"WANDB_CONFIG": text}
    starts = range(0, len(text), _MAX_CONFIG)
    return {
        f"WANDB_CONFIG_{number}": text[start : start + _MAX_CONFIG]
        for number, start in enumerate(starts)
    }
