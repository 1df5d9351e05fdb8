"""Everything that can be set from outside, from environment variables named `ASKTELL_…`."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def find_default_data_dir() -> Path:
    """Where a server keeps its data when nobody says: the user's data folder, or root's."""
    if os.geteuid() == 0:
        return Path("/var/lib/asktell")
    data_home = os.environ.get("XDG_DATA_HOME")
    return (Path(data_home) if data_home else Path.home() / ".local" / "share") / "asktell"


class Settings(BaseSettings):
    """Settings of a server; each field's description is its documentation."""

    model_config = SettingsConfigDict(env_prefix="ASKTELL_", frozen=True, hide_input_in_errors=True)

    database_url: SecretStr | None = Field(
        default=None,
        description="Postgres to keep everything in, as postgresql://USER:PASSWORD@HOST/DATABASE. "
        "Without it the server runs a Postgres of its own below the data directory.",
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
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Host names, separated by commas, under which clients reach the server besides "
        "127.0.0.1, localhost and [::1]; * allows any.",
    )
    dashboard: bool = Field(
        default=True, description="Whether to serve optuna-dashboard, read-only, at /dashboard."
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
        if not isinstance(value, str):
            return value
        return tuple(host.strip().lower() for host in value.split(",") if host.strip())

    @field_validator("database_url", "token", mode="before")
    @classmethod
    def _read_empty_as_unset(cls, value: Any) -> Any:
        return None if value == "" else value

    @field_validator("data_dir")
    @classmethod
    def _make_absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()
