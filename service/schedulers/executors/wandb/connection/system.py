"""W&B as a worker reaches it: by wandb's own settings, in a process of its own."""

import re
import sys
from collections.abc import Iterator, Mapping
from itertools import chain
from urllib.parse import quote, unquote, urlsplit

from service.schedulers.executors.connection.redaction import redact
from service.schedulers.executors.connection.system import (
    NETWORK,
    PROXIES,
    OutsideSystem,
    choose_environment,
    matches,
)

# -P: a folder named wandb, as wandb makes them, must not hide the package.
_COMMAND = (
    *(sys.executable, "-P", "-m"),
    "service.schedulers.executors.wandb.connection.process",
)
WAY_TO_WANDB = ("NETRC", *NETWORK)
"""What decides whether W&B is reached, and by whose key, besides wandb's own settings. Whoever runs
with the worker's account gets all of it, or none."""

_OF_WANDB = (*WAY_TO_WANDB, "WANDB_*")
_ADDRESSES = ("WANDB_BASE_URL", "WANDB_HTTP_PROXY", "WANDB_HTTPS_PROXY", *PROXIES)
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
_NO_PART_OF_HOSTS = re.compile("[/?#]")


def describe_wandb(worker: Mapping[str, str]) -> OutsideSystem:
    """The W&B that a worker's environment names, else W&B's own."""
    chosen = choose_environment(worker, _OF_WANDB)
    kept = {name: value for name, value in chosen.items() if not matches(name, _RUNS_OWN)}
    addresses = [worker.get(name, "") for name in _ADDRESSES]
    secrets = list_secrets(worker.get("WANDB_API_KEY"), *addresses)
    return OutsideSystem(
        name="W&B",
        host=redact(_find_host(addresses[0]), secrets) or _CLOUD,
        command=_COMMAND,
        environment=_DEFAULTS | kept | _SET,
        secrets=secrets,
        folder_variable=_FOLDER,
    )


def list_secrets(key: str | None, *addresses: str) -> tuple[str, ...]:
    """What must not be in any message: the key, and what stands before the hosts of addresses."""
    return (key or "", *chain.from_iterable(map(_list_spellings, addresses)))


def _list_spellings(address: str) -> Iterator[str]:
    """A password is in an address as people wrote it; clients show it as they spell it.

    It need not be one that clients accept: they show its beginning if they take that for a port.
    """
    before_host = address.partition("//")[2] or address
    user, _, password = before_host.rpartition("@")[0].partition(":")
    secret = password or user
    plain = unquote(secret)
    yield from (secret, plain, quote(plain, safe=_PLAIN_IN_PASSWORDS))
    yield _NO_PART_OF_HOSTS.split(secret)[0]


def _find_host(address: str) -> str:
    try:
        return urlsplit(address).netloc.rpartition("@")[2]
    except ValueError:
        # wandb says so in better words.
        return ""
