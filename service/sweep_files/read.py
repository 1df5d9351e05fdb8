"""Read: a sweep file of either kind, as the body of `POST /sweeps`."""

from typing import Any

from service.sweep_files.documents import Document, Path, read_document
from service.sweep_files.draft import Draft
from service.sweep_files.native import read_native
from service.sweep_files.problems import Problems
from service.sweep_files.sweep_file import Dialect, SweepFile
from service.sweep_files.wandb import read_wandb

_TEXTS = frozenset(
    {"name", "description", "program", "project", "entity", "apiVersion", "kind", "queue"}
)
# W&B's files have some of them too; `method` is in every one of those.
_NATIVE_KEYS = frozenset({"space", "objectives", "direction", "launch"})


def read_sweep_file(
    text: str, *, name: str | None = None, directory: str | None = None
) -> SweepFile:
    """Reads the text of a sweep file, YAML or JSON, in W&B's form or in ours.

    A file with the key `method` is W&B's.

    Args:
        name: Of the study, if the file gives none.
        directory: Working directory of the program, if the file gives none.

    Raises:
        InvalidSweepFile: With all problems at once; fields are dotted paths into the file, and
            each message begins with its line.
    """
    problems = Problems()
    document = read_document(text, keeps_text=_keeps_text, problems=problems)
    draft = Draft(document, problems)
    dialect = _find_dialect(document)
    if not isinstance(document.content, dict):
        draft.refuse((), "A sweep file is a mapping, such as `method: random`.")
    elif dialect is Dialect.WANDB:
        read_wandb(draft)
    else:
        read_native(draft)
    _fill_in(draft, name, directory)
    problems.check()
    return SweepFile(draft.content, problems.notes, dialect, draft.places)


def _keeps_text(path: Path) -> bool:
    inner = path[1:] if path[:1] == ("launch",) else path
    return (len(inner) == 1 and inner[0] in _TEXTS) or (
        len(inner) == 2 and inner[0] == "command" and isinstance(inner[1], int)
    )


def _find_dialect(document: Document) -> Dialect:
    keys: Any = document.content if isinstance(document.content, dict) else {}
    if "method" not in keys and keys.keys() & _NATIVE_KEYS and "parameters" not in keys:
        return Dialect.NATIVE
    return Dialect.WANDB


def _fill_in(draft: Draft, name: str | None, directory: str | None) -> None:
    if name is not None and draft.content.get("name") is None:
        draft.content["name"] = name
    launch = draft.content.get("launch")
    if directory is not None and isinstance(launch, dict) and launch.get("directory") is None:
        launch["directory"] = directory
