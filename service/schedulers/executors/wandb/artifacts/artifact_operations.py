"""What the process that has wandb does with artifacts: it reads a single file of one."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from wandb import Api
from wandb.errors import CommError

if TYPE_CHECKING:
    from wandb import Artifact

_FILES_SHOWN = 10


class DownloadFailed(OSError):
    """A file did not come; unlike the error of the HTTP client this one tells no address.

    W&B's downloads have addresses that open them for anybody.

    Attributes:
        response: What came instead, if anything.
    """

    def __init__(self, error: OSError) -> None:
        self.response: Any = getattr(error, "response", None)
        status = getattr(self.response, "status_code", None)
        reason = error.strerror or type(error).__name__
        super().__init__(f"The download failed: {reason if status is None else f'HTTP {status}'}.")


def read_artifact_file(api: Api, *, artifact: str, file: str, max_bytes: int) -> dict[str, str]:
    """Returns the `text` of a file, and the full name of the `version` of its artifact.

    Args:
        artifact: As of `Api.artifact`: `name:alias`, perhaps with project and entity before it.

    Raises:
        ValueError: There is no such thing, or the file is no text that can be taken.
        DownloadFailed: It did not come.
    """
    found = _find_artifact(api, artifact)
    version = f"{found.entity}/{found.project}/{found.name.partition(':')[0]}:{found.version}"
    try:
        content = _download(found, file, max_bytes, version)
    except OSError as error:
        raise DownloadFailed(error) from None
    try:
        return {"version": version, "text": content.decode("utf-8")}
    except UnicodeDecodeError:
        raise ValueError(f"{file} of {version} is not UTF-8.") from None


def _find_artifact(api: Api, name: str) -> "Artifact":
    try:
        found: Artifact = api.artifact(name)
    except CommError as error:
        # What W&B answered is in the SDK's hands by then.
        if type(error.exc) is ValueError:
            raise ValueError(f"There is no such artifact: {error}.") from None
        raise
    return found


def _download(artifact: "Artifact", file: str, max_bytes: int, version: str) -> bytes:
    files = artifact.manifest.entries
    if file not in files:
        raise ValueError(f"{version} has no file {file}; it has {_list_names(files)}.")
    entry = artifact.get_entry(file)
    if entry.ref is not None:
        raise ValueError(f"{file} of {version} is a reference to what is not stored in W&B.")
    _check_size(entry.size or 0, max_bytes, f"{file} of {version}")
    with TemporaryDirectory() as folder:
        path = Path(entry.download(folder, skip_cache=True))
        # Whoever logged it may have noted another one.
        _check_size(path.stat().st_size, max_bytes, f"{file} of {version}")
        return path.read_bytes()


def _check_size(size: int, max_bytes: int, what: str) -> None:
    if size > max_bytes:
        raise ValueError(f"{what} is longer than {max_bytes} bytes.")


def _list_names(files: Iterable[str]) -> str:
    names = sorted(map(str, files)) or ["none"]
    more = len(names) - _FILES_SHOWN
    return ", ".join(names[:_FILES_SHOWN]) + (f" and {more} more" if more > 0 else "")


OPERATIONS: Final[Mapping[str, Callable[..., Any]]] = {"read_artifact_file": read_artifact_file}
