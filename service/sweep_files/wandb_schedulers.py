"""What `scheduler` says in W&B's files, of which there are two kinds.

In files for `wandb launch-sweep` it is the job of W&B Launch that runs the sweep, with settings of
W&B's Optuna scheduler or of W&B's own search. Since wandb 0.31 it may name an `engine` instead,
with which `wandb sweep-scheduler` searches.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from service.domain.limits import MAX_SOURCE_LENGTH
from service.search_space import describe
from service.sweep_files.documents import Path
from service.sweep_files.draft import Draft
from service.sweep_files.python_sources import (
    ArtifactFile,
    Sources,
    read_python_artifact,
    read_python_file,
)

SETTINGS: Path = ("scheduler", "settings")
_SCHEDULER: Path = ("scheduler",)
_SOURCE: Path = (*SETTINGS, "optuna_source")
_ARTIFACT: Path = (*SETTINGS, "artifact")
_FILENAME: Path = (*SETTINGS, "optuna_source_filename")
_PYTHON: Path = ("python",)
_FUNCTIONS = ("search_space", "optimizer")
_OF_ENGINE = ("engine", "source", *_FUNCTIONS)
_METHODS_OF_ENGINES = {"wandb": ("grid", "random", "bayes"), "optuna": ("custom",)}
# How W&B Launch is to run its scheduler.
_OF_JOB = ("job", "name", "resource", "resource_args", "docker_image", "template_variables")
_OF_LAUNCH = (*_OF_JOB, "num_workers", "settings")
_NAMES_OF_SOURCE = ("optuna_source", "artifact")
_OF_OPTUNA = ("sampler", "pruner", *_NAMES_OF_SOURCE)
_OF_SETTINGS = ("method", *_OF_OPTUNA, "optuna_source_filename", "metrics")
_DEFAULT_FILENAME = "optuna_wandb.py"
_ARTIFACT_NAME = re.compile(r"([^/:]+/){0,2}[^/:]+:.+")
_DEFAULT_WORKERS = 8
_LAUNCH_KEYS = frozenset({"job", "image_uri", "launch"})


@dataclass(frozen=True, slots=True)
class Scheduler:
    """Who runs a sweep in W&B.

    Attributes:
        engine: Of `wandb sweep-scheduler`; None for a scheduler of W&B Launch.
        settings: Of a scheduler of W&B Launch.
        has_job: It is a job of W&B Launch; without one W&B itself searches.
        declares_space: A Python file declares the parameters of each trial.
        has_code: A Python file is named that may give sampler or pruner.
        source: The text of a file whose functions count by their names, if it could be read.
    """

    engine: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    has_job: bool = False
    declares_space: bool = False
    has_code: bool = False
    source: str = ""

    @property
    def uses_optuna(self) -> bool:
        """Whether the settings are those of W&B's Optuna scheduler."""
        return not self.settings.keys().isdisjoint(_OF_OPTUNA)

    def defines(self, *names: str) -> bool:
        """Whether the Python file seems to have one of these functions."""
        return _defines(self.source, names)


def read_scheduler(draft: Draft, sweep: Mapping[str, Any], sources: Sources | None) -> Scheduler:
    """Returns what `scheduler` says; of what it is for, only Python and `num_workers` are taken.

    Args:
        sources: None where no files can be opened.
    """
    found = sweep.get("scheduler", {})
    if not isinstance(found, dict):
        draft.refuse(_SCHEDULER, "A scheduler is written {engine: optuna}, or {num_workers: 8}.")
        return Scheduler()
    if "engine" in found:
        return _read_engine(draft, found, sources)
    is_launch = "scheduler" in sweep or not _LAUNCH_KEYS.isdisjoint(sweep)
    return _read_launch(draft, sweep, found, sources) if is_launch else Scheduler()


def check_method(draft: Draft, scheduler: Scheduler, method: str) -> None:
    """Adds a problem if the method is not one of the engine's."""
    methods = _METHODS_OF_ENGINES.get(scheduler.engine or "", (method,))
    if method not in methods:
        draft.refuse(
            (*_SCHEDULER, "engine"),
            f"The engine {scheduler.engine} needs `method: {' or '.join(methods)}`.",
        )


def _read_engine(draft: Draft, found: Mapping[str, Any], sources: Sources | None) -> Scheduler:
    engine = found["engine"]
    draft.refuse_unknown(_SCHEDULER, found, _OF_ENGINE)
    if engine == "ax":
        draft.refuse(
            (*_SCHEDULER, "engine"),
            "Ax is not here; the engines are optuna and wandb. GPSampler of Optuna is akin to it.",
        )
        return Scheduler(engine="ax")
    if engine not in (*_METHODS_OF_ENGINES,):
        draft.refuse(
            (*_SCHEDULER, "engine"), f"This must be optuna or wandb, not {describe(engine)}."
        )
        return Scheduler()
    functions = [name for name in _FUNCTIONS if name in found]
    if engine == "wandb":
        for key in ("source", *functions):
            if key in found:
                draft.refuse((*_SCHEDULER, key), "This needs `engine: optuna`.")
        return Scheduler(engine=engine)
    _read_functions(draft, found, functions, sources)
    return Scheduler(
        engine=engine,
        declares_space="search_space" in found,
        has_code="optimizer" in found,
    )


def _read_functions(
    draft: Draft, found: Mapping[str, Any], names: list[str], sources: Sources | None
) -> None:
    path = (*_SCHEDULER, "source")
    if not names:
        if "source" in found:
            draft.note(path, "Without `search_space` and `optimizer` this has no effect.")
    elif "source" not in found:
        for name in names:
            draft.refuse((*_SCHEDULER, name), "This needs `source`, the Python file that has it.")
    else:
        for name in names:
            draft.take_over((*_PYTHON, name), (*_SCHEDULER, name))
        read_python_file(draft, path, sources)


def _read_launch(
    draft: Draft,
    sweep: Mapping[str, Any],
    found: Mapping[str, Any],
    sources: Sources | None,
) -> Scheduler:
    draft.refuse_unknown(_SCHEDULER, found, _OF_LAUNCH)
    _note_job(draft, [key for key in found if key in _OF_JOB])
    _read_workers(draft, sweep, found)
    settings = found.get("settings", {})
    if not isinstance(settings, dict):
        draft.refuse(SETTINGS, "Settings are written {sampler: {type: TPESampler}}.")
        settings = {}
    draft.refuse_unknown(SETTINGS, settings, _OF_SETTINGS)
    has_code = not settings.keys().isdisjoint(_NAMES_OF_SOURCE)
    source = _read_optuna_source(draft, sweep, settings, sources)
    return Scheduler(
        settings=settings,
        has_job="job" in found,
        # What cannot be read or taken is refused, and nothing else because of it.
        declares_space=has_code and (not _is_usable(source) or _defines(source, ("objective",))),
        has_code=has_code,
        source=source or "",
    )


def _note_job(draft: Draft, keys: Sequence[str]) -> None:
    if keys:
        draft.note(
            (*_SCHEDULER, keys[0]),
            "Here the server is the scheduler and nothing is launched for it, so these keys of "
            f"`scheduler` have no effect: {', '.join(keys)}.",
        )


def _read_workers(draft: Draft, sweep: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    path = (*_SCHEDULER, "num_workers")
    if "num_workers" not in found:
        if "parallelism" not in sweep:
            draft.put(("parallelism",), _DEFAULT_WORKERS, _SCHEDULER)
            draft.note(
                path,
                f"As in W&B Launch, {_DEFAULT_WORKERS} trials run at a time, since `num_workers` "
                "does not say otherwise.",
            )
        return
    workers = found["num_workers"]
    if isinstance(workers, str) and workers.isdecimal():
        workers = int(workers)
    if "parallelism" in sweep:
        draft.refuse(("parallelism",), "`scheduler.num_workers` says the same; leave one out.")
    elif not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
        draft.refuse(path, f"This must be an integer from 1, not {describe(workers)}.")
    else:
        draft.put(("parallelism",), workers, path)


def _read_optuna_source(
    draft: Draft,
    sweep: Mapping[str, Any],
    settings: Mapping[str, Any],
    sources: Sources | None,
) -> str | None:
    named = [settings[name] for name in _NAMES_OF_SOURCE if name in settings]
    if not named:
        if "optuna_source_filename" in settings:
            draft.refuse(_FILENAME, "This needs `optuna_source` beside it.")
        return None
    if named[0] != named[-1]:
        draft.refuse(_ARTIFACT, "`optuna_source` names other Python; leave one out.")
    path = _SOURCE if "optuna_source" in settings else _ARTIFACT
    if path == _ARTIFACT or not _is_python_file(named[0]):
        wanted = _read_wanted(draft, sweep, settings, path)
        return None if wanted is None else read_python_artifact(draft, path, wanted, sources)
    if "optuna_source_filename" in settings:
        draft.note(_FILENAME, "`optuna_source` is a file itself, so this has no effect.")
    return read_python_file(draft, path, sources)


def _is_python_file(name: Any) -> bool:
    """W&B takes whatever has a colon for an artifact."""
    return isinstance(name, str) and name.endswith(".py") and ":" not in name


def _read_wanted(
    draft: Draft, sweep: Mapping[str, Any], settings: Mapping[str, Any], path: Path
) -> ArtifactFile | None:
    name, file = draft.find(path), settings.get("optuna_source_filename", _DEFAULT_FILENAME)
    draft.link((*_PYTHON, "source"), path)
    if not isinstance(name, str) or not _ARTIFACT_NAME.fullmatch(name):
        draft.refuse(
            path,
            "Give the path of a Python file, from the folder of this one, such as search.py, or "
            "an artifact of W&B with its alias, such as acme/digits/search:latest.",
        )
        return None
    if not isinstance(file, str) or not file:
        draft.refuse(_FILENAME, f"This must be a path in the artifact, not {describe(file)}.")
        return None
    entity, project = map(sweep.get, ("entity", "project"))
    return ArtifactFile(
        artifact=name,
        file=file,
        entity=entity if isinstance(entity, str) else None,
        project=project if isinstance(project, str) else None,
    )


def _is_usable(source: str | None) -> TypeGuard[str]:
    return source is not None and 0 < len(source) <= MAX_SOURCE_LENGTH


def _defines(source: str, names: Iterable[str]) -> bool:
    pattern = rf"^(?:def\s+)?(?:{'|'.join(names)})\s*[(:=]"
    return re.search(pattern, source, re.MULTILINE) is not None
