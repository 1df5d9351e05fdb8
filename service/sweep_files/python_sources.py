"""The Python that a sweep file names: a file beside it, or one in an artifact of W&B."""

from dataclasses import dataclass
from typing import Protocol

from service.sweep_files.documents import Path
from service.sweep_files.draft import Draft

ORIGIN_ATTR = "python_source"
"""The user attribute of a study that says from where in W&B its Python came."""

_TARGET: Path = ("python", "source")
_OTHERWISE = "the text itself in our own form, under `python: {source: …}`."
# As wandb writes references to artifacts.
_SCHEME = "wandb-artifact://"


class SourceUnavailable(Exception):
    """A file of an artifact could not be fetched; the message says why, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactFile:
    """A file in an artifact of W&B, as a sweep file names it.

    Attributes:
        artifact: `name:alias`, or more: `project/name:alias`, `entity/project/name:alias`.
        file: Its path in the artifact.
        entity, project: Where the sweep's runs go, if the file says so. They count where
            `artifact` does not tell.
    """

    artifact: str
    file: str
    entity: str | None
    project: str | None


@dataclass(frozen=True, slots=True)
class ArtifactText:
    """The text of a file in an artifact.

    Attributes:
        version: Full name of the artifact's version, such as `acme/digits/search:v3`.
    """

    text: str
    version: str


class Sources(Protocol):
    """Gives the texts that a sweep file names, to whoever may open files and ask W&B."""

    def read_file(self, path: str) -> str:
        """Returns the text of a file by the path that is written in the sweep file.

        Raises:
            OSError: It cannot be opened.
            ValueError: It is no text, or that is no path.
        """

    def read_artifact(self, wanted: ArtifactFile) -> ArtifactText:
        """Returns the text of a file as it is in W&B now.

        Raises:
            SourceUnavailable: There is none, or it cannot be had.
        """


def read_python_file(draft: Draft, path: Path, sources: Sources | None) -> str | None:
    """Puts the text of the file that a part of the sweep file names into the body.

    Returns:
        None if it cannot be had, which is a problem of the sweep file.
    """
    name = draft.find(path)
    draft.link(_TARGET, path)
    if not isinstance(name, str) or not name.endswith(".py"):
        draft.refuse(
            path, "Give the path of a Python file, from the folder of this one, such as search.py."
        )
    elif sources is None:
        draft.refuse(
            path,
            "The server opens no files. `asktell sweep run` sends the text of this one; or write "
            f"{_OTHERWISE}",
        )
    else:
        try:
            text = sources.read_file(name)
        except OSError as error:
            draft.refuse(path, f"{name} cannot be read: {error.strerror or error}.")
        except ValueError:
            draft.refuse(path, f"{name} cannot be read as UTF-8; save it so, under a plain name.")
        else:
            draft.put(_TARGET, text, path)
            return text
    return None


def read_python_artifact(
    draft: Draft, path: Path, wanted: ArtifactFile, sources: Sources | None
) -> str | None:
    """Puts the text of a file in an artifact into the body, and where it came from.

    Returns:
        None if it cannot be had, which is a problem of the sweep file.
    """
    if sources is None:
        draft.refuse(
            path,
            "The server does not ask W&B. `asktell sweep run` fetches this and sends the text; or "
            f"write {_OTHERWISE}",
        )
        return None
    try:
        found = sources.read_artifact(wanted)
    except SourceUnavailable as error:
        draft.refuse(path, str(error))
        return None
    draft.put(_TARGET, found.text, path)
    draft.put(("user_attrs", ORIGIN_ATTR), f"{_SCHEME}{found.version}/{wanted.file}", path)
    draft.note(
        path,
        f"The Python is {wanted.file} of {found.version}; later versions in W&B change nothing "
        "here.",
    )
    return found.text
