"""The Python that a sweep file names, read on the machine of whoever asks for the sweep."""

import asyncio
import errno
import os
from dataclasses import replace
from functools import cache
from pathlib import Path

from service.domain.limits import MAX_SOURCE_LENGTH
from service.schedulers.executors.connection.connection import (
    SystemAway,
    SystemConnection,
    SystemRefused,
)
from service.schedulers.executors.wandb.connection.system import describe_wandb
from service.settings import list_available_executors
from service.sweep_files import ArtifactFile, ArtifactText, SourceUnavailable

_SECONDS = 30.0
_BYTES_PER_CHARACTER = 4


class LocalSources:
    """Files of this machine, and of W&B as its user sees it.

    Args:
        directory: Of the sweep file.
        entity, project: What options say instead of the sweep file.
    """

    def __init__(self, directory: Path, *, entity: str | None, project: str | None) -> None:
        self._directory = directory
        self._entity = entity
        self._project = project

    def read_file(self, path: str) -> str:
        found = self._directory / path
        if found.exists() and not found.is_file():
            # A pipe may never say anything.
            raise OSError(errno.EINVAL, "it is not a file")
        with found.open(encoding="utf-8") as file:
            # One character more than is taken is enough for whoever refuses it.
            return file.read(MAX_SOURCE_LENGTH + 1)

    def read_artifact(self, wanted: ArtifactFile) -> ArtifactText:
        entity, project = self._entity or wanted.entity, self._project or wanted.project
        found = _fetch(replace(wanted, entity=entity, project=project))
        if isinstance(found, str):
            raise SourceUnavailable(found)
        return found


# Commands read a sweep file again to say all that is wrong with it.
@cache
def _fetch(wanted: ArtifactFile) -> ArtifactText | str:
    """Asks W&B; a text by itself says why there is nothing, for people."""
    if "wandb" not in list_available_executors():
        return (
            "To fetch this from W&B the package wandb is needed here: "
            "pip install 'asktell-server[wandb]'."
        )
    try:
        return asyncio.run(_ask(wanted))
    except SystemRefused as error:
        if error.is_about_key:
            return (
                f"W&B lets nobody who is logged in here read {wanted.artifact}. Run `wandb login`, "
                "or set WANDB_API_KEY."
            )
        return f"{wanted.artifact} cannot be fetched: {error}"
    except SystemAway as error:
        return f"{wanted.artifact} cannot be fetched: {error}"


async def _ask(wanted: ArtifactFile) -> ArtifactText:
    # wandb itself completes a name by these. What cannot be printed no environment can hold.
    places = {"WANDB_ENTITY": wanted.entity or "", "WANDB_PROJECT": wanted.project or ""}
    given = {name: value for name, value in places.items() if value and value.isprintable()}
    connection = SystemConnection(describe_wandb({**os.environ, **given}))
    try:
        found = await connection.call(
            "read_artifact_file",
            {
                "artifact": wanted.artifact,
                "file": wanted.file,
                "max_bytes": _BYTES_PER_CHARACTER * MAX_SOURCE_LENGTH,
            },
            deadline_seconds=_SECONDS,
        )
    finally:
        await connection.close()
    return ArtifactText(found["text"], found["version"])
