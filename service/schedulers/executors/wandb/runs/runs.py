"""Where a run of W&B is: its names there, and its page."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

DEFAULT_PROJECT = "uncategorized"
"""Where W&B puts runs that name no project."""

_DEFAULT_BASE_URL = "https://api.wandb.ai"
_OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class RunPath:
    """The names by which W&B knows a run."""

    entity: str
    project: str
    run_id: str

    @property
    def external_ref(self) -> str:
        return f"{self.entity}/{self.project}/{self.run_id}"

    @classmethod
    def from_external_ref(cls, external_ref: str) -> "RunPath | None":
        """None for a run that was recorded offline: W&B does not know of it."""
        parts = external_ref.split("/")
        if len(parts) != 3 or not all(parts) or parts[0] == _OFFLINE:
            return None
        return cls(*parts)


def build_offline_ref(project: str, run_id: str) -> str:
    """Returns the reference of a run that is recorded on the worker's machine only."""
    return f"{_OFFLINE}/{project}/{run_id}"


def find_run(external_ref: str, places: Iterable[str]) -> str | None:
    """Returns the reference among these that has the same run id: its program may move a run."""
    run_id = external_ref.rpartition("/")[2]
    return next((place for place in places if place.rpartition("/")[2] == run_id), None)


def find_run_url(external_ref: str, environment: Mapping[str, str]) -> str | None:
    """Returns the address of a run's page; None if W&B does not know of it.

    Args:
        environment: With the address of W&B's API, or of its pages (WANDB_BASE_URL), if it is not
            W&B's own. A name and a password in it are left out, for everybody sees the result.
    """
    path = RunPath.from_external_ref(external_ref)
    if path is None:
        return None
    base_url = strip_credentials(environment.get("WANDB_BASE_URL") or _DEFAULT_BASE_URL)
    names = [quote(name, safe="") for name in (path.entity, path.project, "runs", path.run_id)]
    return "/".join((_to_app_url(base_url), *names))


def strip_credentials(url: str) -> str:
    """Returns an address without the name and the password that may stand before its host."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def find_project(arguments: Mapping[str, Any], environment: Mapping[str, str]) -> str:
    """Returns the project of an attempt's run, by its sweep, the worker, or W&B's default."""
    return arguments.get("project") or environment.get("WANDB_PROJECT") or DEFAULT_PROJECT


def find_entity(arguments: Mapping[str, Any], environment: Mapping[str, str]) -> str | None:
    """Returns the entity of an attempt's run; None: the default one of whoever's key it is."""
    return arguments.get("entity") or environment.get("WANDB_ENTITY") or None


def _to_app_url(base_url: str) -> str:
    """As wandb's `api_to_app_url` does it: pages and API of a self-managed server are one host."""
    url = base_url.rstrip("/")
    if "://api.wandb." in url:
        return url.replace("://api.", "://", 1)
    return url.replace("://api.", "://app.", 1)
