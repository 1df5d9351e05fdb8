"""Everything that can be set from outside, from environment variables named `ASKTELL_…`."""

import os
import re
import socket
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.domain.sweeps import DEFAULT_QUEUE


def find_default_data_dir() -> Path:
    """Where a server keeps its data when nobody says: the user's data folder, or root's."""
    if os.geteuid() == 0:
        return Path("/var/lib/asktell")
    data_home = os.environ.get("XDG_DATA_HOME")
    return (Path(data_home) if data_home else Path.home() / ".local" / "share") / "asktell"


PACKAGES: Mapping[str, str | None] = {
    "process": None,
    "wandb": "wandb",
    "wandb-launch": "wandb",
    "wandb-agent": "wandb",
    "flyte": "flytekit",
}
"""All ways to launch trials, and the package that each one needs."""


def list_available_executors() -> tuple[str, ...]:
    """Those of them that need nothing, and those whose package is installed."""
    return tuple(
        name for name, package in PACKAGES.items() if package is None or _is_installed(package)
    )


def list_default_executors() -> tuple[str, ...]:
    """The available ones; of Flyte only where there are settings that say where it is."""
    available = list_available_executors()
    return tuple(name for name in available if name != "flyte" or has_flyte_settings())


def has_flyte_settings() -> bool:
    """Whether the environment says where Flyte is, or flytekit finds a file that may."""
    folder = Path.home() / ".flyte"
    # As flytekit's `get_config_file` looks for them.
    files = [Path("flytekit.config"), folder / "config", folder / "config.yaml"]
    if named := os.environ.get("FLYTECTL_CONFIG"):
        files.append(Path(named))
    return bool(os.environ.get("FLYTE_PLATFORM_URL")) or any(file.exists() for file in files)


def _is_installed(package: str) -> bool:
    # A folder `wandb`, as its runs leave everywhere, is a package without an origin.
    spec = find_spec(package)
    return spec is not None and spec.origin is not None


_HOST = re.compile(r"\*|[^\s/:@]+|\[[0-9a-f:.]+\]")


class Settings(BaseSettings):
    """Settings of a server; each field's description is its documentation."""

    model_config = SettingsConfigDict(env_prefix="ASKTELL_", frozen=True, hide_input_in_errors=True)

    database_url: SecretStr | None = Field(
        default=None,
        description="Postgres to keep everything in, as postgresql://USER:PASSWORD@HOST/DATABASE. "
        "Without it the server runs a Postgres of its own below the data directory.",
    )
    database_url_file: Path | None = Field(
        default=None, description="File with that URL, instead of the URL itself."
    )
    data_dir: Path = Field(
        default_factory=find_default_data_dir,
        description="Folder for the token, the server's address and the embedded Postgres.",
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(
        default=8700, ge=0, le=65535, description="Port to listen on; 0 picks a free one."
    )
    token: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="Access token. Without it the one in DATA_DIR/token, made at first start.",
    )
    token_file: Path | None = Field(
        default=None, description="File with the access token, instead of the token itself."
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Host names, separated by commas, under which clients reach the server besides "
        "127.0.0.1, localhost and [::1]; * allows any.",
    )
    dashboard: bool = Field(
        default=True, description="Whether to serve optuna-dashboard, read-only, at /dashboard."
    )
    worker: int | None = Field(
        default=None,
        ge=0,
        description="How many trials of sweeps the worker inside the server runs at a time; as "
        "many as there are cores by default, 0 for no such worker.",
    )
    user_code: Literal["off", "contained", "uncontained"] | None = Field(
        default=None,
        description="Whether studies may be made of Python that their users send: contained in a "
        "sandbox, or also where the kernel cannot keep it from files and the network. By default "
        "contained where the server runs its own Postgres, else off.",
    )
    sampler_processes: int = Field(
        default=4,
        ge=1,
        le=64,
        description="How many studies may have a process for a heavy sampler (GPSampler, or one "
        "that a user wrote) at a time, and how many for a user's pruner; the one that was not used "
        "for the longest time ends for another.",
    )
    sampler_timeout_seconds: int = Field(
        default=300,
        ge=1,
        description="How long one draw of such a sampler may take; it takes longer with every "
        "trial that the study has. An ask that waits longer gets 503.",
    )
    body_limit_bytes: int = Field(
        default=4 * 1024 * 1024, ge=1024, description="Largest accepted request body."
    )
    shutdown_seconds: int = Field(
        default=10, ge=1, description="How long a stopping server waits for requests to finish."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe messages to log; debug logs every request."
    )
    log_format: Literal["console", "json"] = Field(
        default="console", description="Log lines for people or for machines."
    )

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        return tuple(map(str.lower, _split(value))) if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _read_secrets(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {
            **values,
            **{name: _read_secret(name, values) for name in ("database_url", "token")},
        }

    @field_validator("database_url", "token", mode="before")
    @classmethod
    def _read_empty_as_unset(cls, value: Any) -> Any:
        return None if value == "" else value

    @field_validator("allowed_hosts")
    @classmethod
    def _check_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for host in value:
            if not _HOST.fullmatch(host):
                raise ValueError(f"{host!r} is no host name; leave out scheme, port and path")
        return value

    @field_validator("data_dir")
    @classmethod
    def _make_absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()


class WorkerSettings(BaseSettings):
    """Settings of a worker, the one inside the server included."""

    model_config = SettingsConfigDict(env_prefix="ASKTELL_WORKER_", frozen=True)

    name: str = Field(
        default_factory=socket.gethostname,
        min_length=1,
        max_length=255,
        description="What people see; the machine's name by default.",
    )
    queue: str = Field(
        default=DEFAULT_QUEUE,
        min_length=1,
        max_length=255,
        description="Takes trials of the sweeps of this queue.",
    )
    slots: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Trials at a time; as many as there are cores by default.",
    )
    executors: Annotated[tuple[str, ...], NoDecode] = Field(
        default_factory=list_default_executors,
        description="Ways to launch trials, separated by commas; by default all that are "
        "installed, flyte where flytekit has settings too.",
    )
    workdir: Path | None = Field(
        default=None,
        description="Folder for what runs, of this worker alone; DATA_DIR/worker by default. "
        "Programs run in it unless their sweep names a directory.",
    )
    allow_programs: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Programs that may run, patterns of absolute paths separated by commas; by "
        "default those below the workdir. * allows any.",
    )
    pass_env: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Variables that programs get besides the usual ones, separated by commas.",
    )
    url_for_jobs: str | None = Field(
        default=None,
        description="The server's URL as programs in Flyte reach it; by default the worker's own.",
    )
    python: str | None = Field(
        default=None,
        description="What ${interpreter} is; by default python of the active environment, else "
        "the worker's own.",
    )
    drain_seconds: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="How long a worker that is told to stop waits for what runs before it ends "
        "that; as long as it takes by default.",
    )

    @field_validator("executors", "allow_programs", "pass_env", mode="before")
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        return _split(value) if isinstance(value, str) else value

    @field_validator("workdir")
    @classmethod
    def _make_absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()


def _read_secret(name: str, values: Mapping[str, Any]) -> Any:
    variable = f"ASKTELL_{name.upper()}"
    path = values.get(f"{name}_file")
    if not path:
        return values.get(name)
    if values.get(name):
        raise ValueError(f"{variable} and {variable}_FILE are both set; unset one of them")
    try:
        secret = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{variable}_FILE cannot be read: {error}") from None
    if not secret:
        raise ValueError(f"{variable}_FILE is empty: {path}")
    return secret


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
