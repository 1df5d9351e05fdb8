"""W&B as a worker reaches it: by wandb's own settings, in a process of its own."""

import sys
from collections.abc import Mapping
from urllib.parse import quote, unquote, urlsplit

from service.schedulers.executors.connection.system import (
    OutsideSystem,
    choose_environment,
    matches,
)

# -P: a folder named wandb, as wandb makes them, must not hide the package.
_COMMAND = (
    *(sys.executable, "-P", "-m"),
    "service.schedulers.executors.wandb.connection.process",
)
_OF_WANDB = ("NETRC", "WANDB_*")
# A run that the worker itself is part of is nothing to this process.
_RUNS_OWN = (
    *("WANDB_SERVICE", "WANDB_MODE", "WANDB_DISABLED", "WANDB_DEBUG", "WANDB_DIR", "WANDB_RUN_*"),
    *("WANDB_SWEEP_*", "WANDB_RESUME", "WANDB_CONFIG", "WANDB_CONFIG_[0-9]*", "WANDB_LAUNCH*"),
)
_DEFAULTS = {"WANDB_HTTP_TIMEOUT": "10"}
_SET = {
    # What goes wrong here is not to be told to third parties.
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_SILENT": "true",
    # wandb-core would try 20 times, for minutes, and never say why. None at all it takes for 20.
    "WANDB_X_GRAPHQL_RETRY_MAX": "1",
}
# wandb makes a folder for every run that it is asked about.
_FOLDER = "WANDB_DIR"
_CLOUD = "wandb.ai"
# RFC 3986, 3.2.1; httpx and Go keep to it.
_PLAIN_IN_PASSWORDS = "!$&'()*+,;="


def describe_wandb(worker: Mapping[str, str]) -> OutsideSystem:
    """The W&B that a worker's environment names, else W&B's own."""
    chosen = choose_environment(worker, _OF_WANDB)
    kept = {name: value for name, value in chosen.items() if not matches(name, _RUNS_OWN)}
    base_url = worker.get("WANDB_BASE_URL", "")
    host = urlsplit(base_url).netloc.rpartition("@")[2]
    return OutsideSystem(
        name="W&B",
        host=host or _CLOUD,
        command=_COMMAND,
        environment=_DEFAULTS | kept | _SET,
        secrets=list_secrets(worker.get("WANDB_API_KEY"), base_url),
        folder_variable=_FOLDER,
    )


def list_secrets(key: str | None, base_url: str) -> tuple[str, ...]:
    """What must not be in any message: the key, and what stands before the host of an address.

    A password is in the address as people wrote it; clients show it as they spell it.
    """
    parts = urlsplit(base_url)
    password = parts.password or parts.username or ""
    plain = unquote(password)
    return (key or "", password, plain, quote(plain, safe=_PLAIN_IN_PASSWORDS))
