"""Create: check everything about a new study, then store it."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from service.domain.errors import Invalid, InvalidName, StudyExists
from service.domain.limits import MAX_NAME_LENGTH
from service.domain.studies import Component, IfExists, Objective, StudySpec, StudySummary
from service.engine.engine import Engine
from service.pruners import resolve_pruner
from service.samplers import default_sampler, resolve_sampler
from service.search_space import SearchSpace, parse_space
from service.storage.reads import StoredStudy

_MAX_SEED = 2**32


@dataclass(frozen=True, slots=True)
class NewStudy:
    """A study as a client wants it; what is None gets a default that is stored with it."""

    name: str
    objectives: tuple[Objective, ...]
    space: Mapping[str, Any] | None = None
    sampler: Component | None = None
    pruner: Component | None = None
    seed: int | None = None
    user_attrs: Mapping[str, Any] = field(default_factory=dict)
    if_exists: IfExists = IfExists.FAIL


@dataclass(frozen=True, slots=True)
class CreatedStudy:
    """A stored study; `created` is False if it was there before."""

    summary: StudySummary
    spec: StudySpec
    created: bool


async def create_study(engine: Engine, new: NewStudy) -> CreatedStudy:
    """Stores a new study, or finds the same one with `IfExists.LOAD`.

    Raises:
        Invalid: Something in it can never work; its subclasses say what.
        StudyExists: The name is taken, by a different study or without `IfExists.LOAD`.
        DatabaseUnavailable: The outcome is unknown; repeat with `IfExists.LOAD`.
    """
    spec = _build_spec(new)
    study_id = await engine.studies.insert(spec)
    stored = await engine.reads.find_study(spec.name)
    if stored is None:
        raise StudyExists(
            f"The name {spec.name!r} is taken by a study that Asktell does not manage. "
            "Choose another name."
        )
    if study_id is None:
        _check_same(stored, spec, new)
    return CreatedStudy(stored.summary, stored.spec, created=study_id is not None)


def _build_spec(new: NewStudy) -> StudySpec:
    _check_name(new.name)
    _check_objectives(new.objectives)
    n_objectives = len(new.objectives)
    space = None if new.space is None else parse_space(new.space)
    return StudySpec(
        name=new.name,
        objectives=new.objectives,
        space=new.space,
        sampler=_build_sampler_component(new, space),
        pruner=_build_pruner_component(new.pruner, n_objectives),
        seed=_choose_seed(new.seed),
        user_attrs=new.user_attrs,
    )


def _check_name(name: str) -> None:
    if not name or len(name) > MAX_NAME_LENGTH:
        raise InvalidName(f"A study's name has 1 to {MAX_NAME_LENGTH} characters.")
    if "/" in name or "\0" in name or not _is_encodable(name):
        raise InvalidName("A study's name has no '/', no NUL and only valid Unicode characters.")


def _is_encodable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_objectives(objectives: tuple[Objective, ...]) -> None:
    names = [objective.name for objective in objectives]
    if not names:
        raise Invalid("A study has at least one objective: give a direction.")
    if len(set(names)) != len(names):
        raise Invalid("Two objectives have the same name: give each its own.")


def _build_sampler_component(new: NewStudy, space: SearchSpace | None) -> Component:
    n_objectives = len(new.objectives)
    component = new.sampler or default_sampler(n_objectives)
    return resolve_sampler(component, space=space, n_objectives=n_objectives)


def _build_pruner_component(component: Component | None, n_objectives: int) -> Component | None:
    if component is None:
        return None
    return resolve_pruner(component, n_objectives=n_objectives)


def _choose_seed(seed: int | None) -> int:
    if seed is None:
        return secrets.randbelow(_MAX_SEED)
    if not 0 <= seed < _MAX_SEED:
        raise Invalid(f"A seed is an integer from 0 to {_MAX_SEED - 1}.")
    return seed


def _check_same(stored: StoredStudy, spec: StudySpec, new: NewStudy) -> None:
    if new.if_exists is IfExists.FAIL:
        raise StudyExists(
            f"Study {spec.name!r} exists. Send if_exists: load to use it, or choose another name."
        )
    # A seed that nobody asked for is no difference.
    wanted = spec if new.seed is not None else replace(spec, seed=stored.spec.seed)
    if wanted != stored.spec:
        raise StudyExists(
            f"Study {spec.name!r} exists with a different {_first_difference(wanted, stored.spec)}."
            " Choose another name, or send what it was created with."
        )


def _first_difference(wanted: StudySpec, stored: StudySpec) -> str:
    names = ("objectives", "space", "sampler", "pruner", "seed", "user_attrs")
    return next(name for name in names if getattr(wanted, name) != getattr(stored, name))
