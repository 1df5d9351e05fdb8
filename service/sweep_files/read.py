"""Read: a sweep file of either kind, as the body of `POST /sweeps`."""

from typing import Any

from service.sweep_files.clashes import refuse_clashes
from service.sweep_files.documents import Document, Path, read_document
from service.sweep_files.draft import Draft
from service.sweep_files.launches import KEYS_OF_EXECUTORS, WANDB
from service.sweep_files.native import read_native
from service.sweep_files.problems import Problems
from service.sweep_files.python_sources import Sources
from service.sweep_files.sweep_file import Defaults, Dialect, SweepFile
from service.sweep_files.wandb import read_wandb

_NOTHING = Defaults()
_TEXTS = frozenset(
    {
        "name",
        "description",
        "program",
        "project",
        "entity",
        "apiVersion",
        "kind",
        "queue",
        "job",
        "image_uri",
    }
)
_PARTS_WITH_TEXTS = (("launch",), ("wandb",))
_TEXTS_OF_LAUNCH = frozenset(
    {"group", "job_type", "job", "image", "launch_queue", "launch_queue_project", "resource"}
)
_LISTS_OF_TEXTS = frozenset({"command", "tags", "entry_point"})
# W&B's files have some of them too, and always one of the others.
_NATIVE_KEYS = frozenset({"space", "objectives", "direction", "launch", "python"})
_WANDB_KEYS = frozenset({"method", "parameters", "scheduler"})


def read_sweep_file(text: str, defaults: Defaults = _NOTHING) -> SweepFile:
    """Reads the text of a sweep file, YAML or JSON, in W&B's form or in ours.

    A file with the key `method`, `parameters` or `scheduler` is W&B's.

    Raises:
        InvalidSweepFile: With all problems at once; fields are dotted paths into the file, and
            each message begins with its line. One with a default has its name, and no line.
    """
    file = draft_sweep_file(text, defaults)
    file.problems.check()
    return file


def draft_sweep_file(
    text: str, defaults: Defaults = _NOTHING, sources: Sources | None = None
) -> SweepFile:
    """Reads as much of a sweep file as can be read; its problems say what is wrong with the rest.

    Args:
        sources: Of the Python that the sweep file names. Without them such files are refused.

    Raises:
        InvalidSweepFile: It is no YAML, or there is more wrong with it than anybody would read.
    """
    problems = Problems()
    document = read_document(text, keeps_text=_keeps_text, problems=problems)
    draft = Draft(document, problems)
    dialect = _find_dialect(document)
    if not isinstance(document.content, dict):
        draft.refuse((), "A sweep file is a mapping, such as `method: random`.")
    elif dialect is Dialect.WANDB:
        read_wandb(draft, defaults, sources)
    else:
        read_native(draft, defaults)
    refuse_clashes(draft)
    _fill_in(draft, defaults)
    _note_offline_sweep(draft, dialect)
    return SweepFile(
        document=draft.content,
        notes=problems.notes,
        dialect=dialect,
        places=draft.places,
        executor=draft.executor,
        problems=problems,
    )


def _keeps_text(path: Path) -> bool:
    inner = path[1:] if path[:1] in _PARTS_WITH_TEXTS else path
    match inner:
        case (str(key),):
            return key in _TEXTS or (inner is not path and key in _TEXTS_OF_LAUNCH)
        case (str(key), int()):
            return key in _LISTS_OF_TEXTS
        case _:
            return False


def _find_dialect(document: Document) -> Dialect:
    keys: Any = document.content if isinstance(document.content, dict) else {}
    if keys.keys() & _NATIVE_KEYS and not keys.keys() & _WANDB_KEYS:
        return Dialect.NATIVE
    return Dialect.WANDB


def _fill_in(draft: Draft, defaults: Defaults) -> None:
    if defaults.name is not None and draft.content.get("name") is None:
        draft.content["name"] = defaults.name
    if draft.executor is None:
        return
    launch, known = draft.content["launch"], KEYS_OF_EXECUTORS[draft.executor]
    for key in ("directory", "project", "entity", "mode"):
        value = getattr(defaults, key)
        if value is None or launch.get(key) is not None:
            continue
        if key in known:
            launch[key] = value
        # Programs have one, whoever runs them, so that it is given for any file.
        elif key != "directory":
            draft.problems.refuse_asked(key, "This is for `executor: wandb`.")


def _note_offline_sweep(draft: Draft, dialect: Dialect) -> None:
    launch = draft.content["launch"] if draft.executor == WANDB else {}
    if launch.get("mode") == "offline" and launch.get("sweep") is True:
        path = (WANDB if dialect is Dialect.WANDB else "launch", "sweep")
        draft.note(path, "Runs that are offline have no sweep on W&B, so this has no effect.")
