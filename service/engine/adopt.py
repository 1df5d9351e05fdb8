"""Adopt: take a study that plain Optuna made into management."""

from dataclasses import dataclass

from service.domain.errors import StudyExists, StudyNotAdoptable, StudyNotFound
from service.domain.studies import Component, Direction, Objective, StudySettings, StudySpec
from service.engine.create import choose_seed
from service.engine.engine import Engine
from service.engine.settings import check_settings
from service.pruners import resolve_pruner
from service.samplers import default_sampler, resolve_sampler
from service.storage.adoption import PlainStudy, is_list_of_names


@dataclass(frozen=True, slots=True)
class Adoption:
    """How a study shall go on; what is None gets a default that is stored with it.

    Attributes:
        settings: Their lease is also that of the trials that plain Optuna left running.
    """

    name: str
    sampler: Component | None = None
    pruner: Component | None = None
    seed: int | None = None
    settings: StudySettings | None = None


async def adopt_study(engine: Engine, adoption: Adoption) -> None:
    """Makes a study of plain Optuna a managed one that declares its parameters trial by trial.

    Its trials stay as they are. Those that are waiting are handed out next; those that are running
    may be told here, or are lost once their lease is over. None of them count as started here.
    Plain Optuna can read the study from then on, not write it.

    Raises:
        StudyNotFound: Nobody has a study of that name.
        StudyExists: It is managed already; also what a repeat of a successful call gets.
        StudyNotAdoptable: The engine could not go on with it; the message says why.
        Invalid: Sampler, pruner, seed or settings do not go with it; its subclasses say what.
        DatabaseUnavailable: The outcome is unknown, or plain Optuna does not stop writing; repeat.
    """
    plain = await engine.plain_studies.find(adoption.name)
    if plain is None:
        raise StudyNotFound(
            f"There is no study {adoption.name!r} in this database, neither of Optuna nor here."
        )
    if plain.is_managed:
        raise StudyExists(f"Asktell manages study {adoption.name!r} already.")
    spec = _build_spec(adoption, plain)
    settings = adoption.settings or StudySettings()
    check_settings(settings, n_objectives=len(spec.objectives))
    await engine.plain_studies.adopt(plain.study_id, spec, settings, now=engine.clock())


def _build_spec(adoption: Adoption, plain: PlainStudy) -> StudySpec:
    _check_name(adoption.name)
    objectives = _build_objectives(plain)
    n_objectives = len(objectives)
    sampler = adoption.sampler or default_sampler(n_objectives)
    pruner = adoption.pruner
    return StudySpec(
        name=adoption.name,
        objectives=objectives,
        space=None,
        sampler=resolve_sampler(sampler, space=None, n_objectives=n_objectives),
        pruner=None if pruner is None else resolve_pruner(pruner, n_objectives=n_objectives),
        seed=choose_seed(adoption.seed),
    )


def _check_name(name: str) -> None:
    # Optuna takes any name; no path of the API could hold these.
    if not name or "/" in name:
        raise StudyNotAdoptable(
            "A managed study's name is not empty and has no '/'. Copy the study to another name "
            "with optuna.copy_study, and adopt the copy."
        )


def _build_objectives(plain: PlainStudy) -> tuple[Objective, ...]:
    names = _name_objectives(plain)
    try:
        directions = [Direction(word.lower()) for word in plain.directions]
    except ValueError:
        directions = []
    if not directions:
        raise StudyNotAdoptable(
            "The directions of this study are not set. Copy its trials into a study that has some, "
            "and adopt that one."
        )
    return tuple(map(Objective, names, directions))


def _name_objectives(plain: PlainStudy) -> list[str]:
    count = len(plain.directions)
    if plain.metric_names is None:
        return ["value"] if count == 1 else [f"value_{place}" for place in range(count)]
    if not is_list_of_names(plain.metric_names) or len(plain.metric_names) != count:
        raise StudyNotAdoptable(
            "The metric names of this study do not tell its objectives apart. Give each its own "
            "with Study.set_metric_names, then adopt it."
        )
    return list(plain.metric_names)
