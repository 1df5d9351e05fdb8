"""What `scheduler` says in W&B's files, of which there are two kinds.

In files for `wandb launch-sweep` it is the job of W&B Launch that runs the sweep, with settings of
W&B's Optuna scheduler or of W&B's own search. Since wandb 0.31 it may name an `engine` instead,
with which `wandb sweep-scheduler` searches.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.search_space import describe
from service.sweep_files.documents import Path
from service.sweep_files.draft import Draft

ReadSource = Callable[[str], str]
"""Gives the text of a Python file that a sweep file names.

Raises OSError if it cannot be opened, and ValueError if it is no text or that is no path.
"""

SETTINGS: Path = ("scheduler", "settings")
_SCHEDULER: Path = ("scheduler",)
_PYTHON: Path = ("python",)
_FUNCTIONS = ("search_space", "optimizer")
_OF_ENGINE = ("engine", "source", *_FUNCTIONS)
_METHODS_OF_ENGINES = {"wandb": ("grid", "random", "bayes"), "optuna": ("custom",)}
# How W&B Launch is to run its scheduler.
_OF_JOB = ("job", "name", "resource", "resource_args", "docker_image", "template_variables")
_OF_LAUNCH = (*_OF_JOB, "num_workers", "settings")
_OF_OPTUNA = ("sampler", "pruner", "optuna_source")
_OF_SETTINGS = ("method", *_OF_OPTUNA, "optuna_source_filename", "metrics", "artifact")
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


def read_scheduler(
    draft: Draft, sweep: Mapping[str, Any], read_source: ReadSource | None
) -> Scheduler:
    """Returns what `scheduler` says; of what it is for, only Python and `num_workers` are taken.

    Args:
        read_source: None where no files can be opened.
    """
    found = sweep.get("scheduler", {})
    if not isinstance(found, dict):
        draft.refuse(_SCHEDULER, "A scheduler is written {engine: optuna}, or {num_workers: 8}.")
        return Scheduler()
    if "engine" in found:
        return _read_engine(draft, found, read_source)
    is_launch = "scheduler" in sweep or not _LAUNCH_KEYS.isdisjoint(sweep)
    return _read_launch(draft, sweep, found, read_source) if is_launch else Scheduler()


def check_method(draft: Draft, scheduler: Scheduler, method: str) -> None:
    """Adds a problem if the method is not one of the engine's."""
    methods = _METHODS_OF_ENGINES.get(scheduler.engine or "", (method,))
    if method not in methods:
        draft.refuse(
            (*_SCHEDULER, "engine"),
            f"The engine {scheduler.engine} needs `method: {' or '.join(methods)}`.",
        )


def _read_engine(
    draft: Draft, found: Mapping[str, Any], read_source: ReadSource | None
) -> Scheduler:
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
    _read_functions(draft, found, functions, read_source)
    return Scheduler(
        engine=engine,
        declares_space="search_space" in found,
        has_code="optimizer" in found,
    )


def _read_functions(
    draft: Draft, found: Mapping[str, Any], names: list[str], read_source: ReadSource | None
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
        _read_source(draft, found["source"], path, read_source)


def _read_launch(
    draft: Draft,
    sweep: Mapping[str, Any],
    found: Mapping[str, Any],
    read_source: ReadSource | None,
) -> Scheduler:
    draft.refuse_unknown(_SCHEDULER, found, _OF_LAUNCH)
    _note_job(draft, [key for key in found if key in _OF_JOB])
    _read_workers(draft, sweep, found)
    settings = found.get("settings", {})
    if not isinstance(settings, dict):
        draft.refuse(SETTINGS, "Settings are written {sampler: {type: TPESampler}}.")
        settings = {}
    draft.refuse_unknown(SETTINGS, settings, _OF_SETTINGS)
    has_code = "optuna_source" in settings
    source = _read_optuna_source(draft, settings, read_source)
    return Scheduler(
        settings=settings,
        has_job="job" in found,
        # What cannot be read is refused, and nothing else because of it.
        declares_space=has_code and (source is None or _defines(source, ("objective",))),
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
    draft: Draft, settings: Mapping[str, Any], read_source: ReadSource | None
) -> str | None:
    if "artifact" in settings:
        draft.refuse(
            (*SETTINGS, "artifact"),
            "Nothing is fetched from W&B for this; name a Python file as `optuna_source`.",
        )
    path = (*SETTINGS, "optuna_source")
    if "optuna_source" in settings:
        return _read_source(draft, settings["optuna_source"], path, read_source)
    if "optuna_source_filename" in settings:
        draft.refuse((*SETTINGS, "optuna_source_filename"), "This needs `optuna_source` beside it.")
    return None


def _read_source(draft: Draft, name: Any, path: Path, read_source: ReadSource | None) -> str | None:
    """Puts the text of a Python file into the body."""
    draft.link((*_PYTHON, "source"), path)
    if not isinstance(name, str) or not name.endswith(".py"):
        draft.refuse(
            path,
            "Give the path of a Python file, from the folder of this one, such as search.py. "
            "Artifacts of W&B are not fetched: `wandb artifact get` does that.",
        )
    elif read_source is None:
        draft.refuse(
            path,
            "The server opens no files. `asktell sweep run` sends the text of this one; or write "
            "the text itself in our own form, under `python: {source: …}`.",
        )
    else:
        try:
            text = read_source(name)
        except OSError as error:
            draft.refuse(path, f"{name} cannot be read: {error.strerror or error}.")
        except ValueError:
            draft.refuse(path, f"{name} cannot be read as UTF-8; save it so, under a plain name.")
        else:
            draft.put((*_PYTHON, "source"), text, path)
            return text
    return None


def _defines(source: str, names: Iterable[str]) -> bool:
    pattern = rf"^(?:def\s+)?(?:{'|'.join(names)})\s*[(:=]"
    return re.search(pattern, source, re.MULTILINE) is not None
