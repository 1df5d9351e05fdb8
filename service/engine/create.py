"""Create: check everything about a new study, then store it."""

import hashlib
import json
import secrets
import string
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from optuna.trial import FrozenTrial

from service.domain.errors import (
    FieldError,
    IdempotencyKeyReused,
    Invalid,
    InvalidCode,
    InvalidName,
    InvalidParams,
    StudyExists,
)
from service.domain.limits import MAX_NAME_LENGTH
from service.domain.studies import Component, IfExists, Objective, StudySettings, StudySpec
from service.domain.sweeps import SWEEP_SETTINGS, LaunchSpec, Sweep
from service.domain.user_code import USER_PRUNER, USER_SAMPLER, UserCode
from service.engine.engine import Engine
from service.engine.enqueue import EnqueuedTrial, build_waiting
from service.engine.settings import check_settings
from service.engine.user_code import CodeParts
from service.pruners import resolve_pruner
from service.samplers import default_sampler, resolve_sampler
from service.search_space import SearchSpace, parse_space
from service.storage.journal import StoredReply
from service.storage.reads import StoredStudy

_MAX_SEED = 2**32
_ID_CHARACTERS = string.ascii_lowercase + string.digits
_ID_LENGTH = 8


@dataclass(frozen=True, slots=True)
class NewStudy:
    """A study as a client wants it; what is None gets a default that is stored with it.

    Attributes:
        user_code: Python that declares the parameters of each trial, or gives sampler and pruner.
        launch: How workers launch its trials, which makes it a sweep; None: clients ask for them.
    """

    name: str
    objectives: tuple[Objective, ...]
    space: Mapping[str, Any] | None = None
    sampler: Component | None = None
    pruner: Component | None = None
    seed: int | None = None
    settings: StudySettings | None = None
    user_attrs: Mapping[str, Any] = field(default_factory=dict)
    user_code: UserCode | None = None
    launch: LaunchSpec | None = None
    if_exists: IfExists = IfExists.FAIL
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class CreatedStudy:
    """A stored study; `created` is False if it was there before.

    Attributes:
        notes: Sentences about what its code says and nobody follows.
    """

    study: StoredStudy
    created: bool
    notes: tuple[str, ...] = ()


async def create_study(engine: Engine, new: NewStudy) -> CreatedStudy:
    """Stores a new study, or finds the same one with `IfExists.LOAD`.

    Raises:
        Invalid: Something in it can never work; its subclasses say what.
        StudyExists: The name is taken, by a different study or without `IfExists.LOAD`.
        IdempotencyKeyReused: The key came with another body before.
        DatabaseUnavailable: The outcome is unknown; repeat with `IfExists.LOAD`.
    """
    code = await _read_code(engine, new)
    spec, settings = settle_study(new, code)
    notes = () if code is None else code.notes
    key = _build_key(new, engine.clock())
    study_id = await engine.studies.insert(
        spec, settings, key, sweep=_build_sweep(new.launch), waiting=_list_waiting(spec, code)
    )
    engine.offers.announce()
    stored = await engine.reads.find_study(spec.name)
    if stored is None:
        raise StudyExists(
            f"The name {spec.name!r} is taken by a study that Asktell does not manage. "
            "Adopt that one, or choose another name."
        )
    if study_id is not None or await _is_repeat(engine, key, spec.name):
        return CreatedStudy(stored, created=True, notes=notes)
    _check_same(stored, spec, new)
    await _check_same_launch(engine, stored, new)
    return CreatedStudy(stored, created=False, notes=notes)


def settle_study(new: NewStudy, code: CodeParts | None = None) -> tuple[StudySpec, StudySettings]:
    """Returns what would be stored of a new study: checked, with its defaults written down.

    Args:
        code: What there is in the study's Python, if it has some.

    Raises:
        Invalid: Something in it can never work; its subclasses say what.
    """
    spec = _build_spec(new) if code is None else _build_spec(_fill_in(new, code), code)
    settings = new.settings or (StudySettings() if new.launch is None else SWEEP_SETTINGS)
    check_settings(settings, n_objectives=len(spec.objectives), is_sweep=new.launch is not None)
    _list_waiting(spec, code)
    return spec, settings


async def _read_code(engine: Engine, new: NewStudy) -> CodeParts | None:
    if new.user_code is None:
        return None
    _check_objectives(new.objectives)
    return await engine.code_runner.read(new.user_code, new.name, new.objectives, new.user_attrs)


def _fill_in(new: NewStudy, parts: CodeParts) -> NewStudy:
    """Adds to a new study what its Python says of it."""
    code = parts.code
    for name, is_twice in (
        ("space", new.space is not None and code.declares_parameters),
        ("sampler", new.sampler is not None and parts.sampler is not None),
        ("pruner", new.pruner is not None and parts.pruner is not None),
    ):
        if is_twice:
            message = f"The Python of this study has its {name}, too: leave one out."
            raise InvalidCode(message, errors=[FieldError(name, message)])
    return replace(
        new,
        user_code=code,
        sampler=new.sampler or parts.sampler,
        pruner=new.pruner or parts.pruner,
        seed=parts.seed if new.seed is None else new.seed,
        user_attrs={**parts.user_attrs, **new.user_attrs},
    )


def _list_waiting(spec: StudySpec, code: CodeParts | None) -> list[FrozenTrial]:
    """The trials that the code has enqueued, checked as those of clients are."""
    if code is None or not code.enqueued:
        return []
    space = None if spec.space is None else parse_space(spec.space)
    return [
        _build_waiting(number, trial, spec.sampler, space)
        for number, trial in enumerate(code.enqueued)
    ]


def _build_waiting(
    number: int, trial: EnqueuedTrial, sampler: Component, space: SearchSpace | None
) -> FrozenTrial:
    try:
        return build_waiting(trial, sampler, space)
    except InvalidParams as error:
        messages = [
            f"Trial {number}, which the Python has enqueued, cannot be run. "
            f"{each.field.removeprefix('params.')}: {each.message}"
            for each in error.errors
        ]
        errors = [FieldError("python.source", message) for message in messages]
        raise InvalidCode(messages[0], errors=errors) from error


def choose_seed(seed: int | None) -> int:
    """Returns the seed of a study, a random one for None.

    Raises:
        Invalid: It is out of range.
    """
    if seed is None:
        return secrets.randbelow(_MAX_SEED)
    if not 0 <= seed < _MAX_SEED:
        raise Invalid(f"A seed is an integer from 0 to {_MAX_SEED - 1}.")
    return seed


def _build_key(new: NewStudy, now: datetime) -> StoredReply | None:
    if new.idempotency_key is None:
        return None
    body = {name: value for name, value in asdict(new).items() if name != "idempotency_key"}
    text = json.dumps(body, sort_keys=True, default=sorted)
    digest = hashlib.sha256(text.encode()).digest()
    return StoredReply("create", new.idempotency_key, digest, None, now)


async def _is_repeat(engine: Engine, key: StoredReply | None, name: str) -> bool:
    """Whether the study was made by this same request, whose answer was lost."""
    if key is None:
        return False
    digest = await engine.studies.find_creation_digest(name, key.key)
    if digest is not None and digest != key.body_digest:
        raise IdempotencyKeyReused(
            f"Idempotency-Key {key.key!r} was used to create study {name!r} differently. Use a "
            "new key for a new request."
        )
    return digest is not None


def _build_sweep(launch: LaunchSpec | None) -> Sweep | None:
    if launch is None:
        return None
    return Sweep("".join(secrets.choice(_ID_CHARACTERS) for _ in range(_ID_LENGTH)), launch)


def _build_spec(new: NewStudy, code: CodeParts | None = None) -> StudySpec:
    _check_name(new.name)
    _check_objectives(new.objectives)
    n_objectives = len(new.objectives)
    space = None if new.space is None else parse_space(new.space)
    return StudySpec(
        name=new.name,
        objectives=new.objectives,
        space=new.space,
        sampler=_build_sampler_component(new, space, code),
        pruner=_build_pruner_component(new.pruner, n_objectives, code),
        seed=choose_seed(new.seed),
        user_attrs=new.user_attrs,
        user_code=new.user_code,
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


def _build_sampler_component(
    new: NewStudy, space: SearchSpace | None, code: CodeParts | None
) -> Component:
    n_objectives = len(new.objectives)
    component = new.sampler or default_sampler(n_objectives)
    if code is not None and component is code.sampler and component.type == USER_SAMPLER:
        return component
    return resolve_sampler(component, space=space, n_objectives=n_objectives)


def _build_pruner_component(
    component: Component | None, n_objectives: int, code: CodeParts | None
) -> Component | None:
    if component is None:
        return None
    is_users = code is not None and component is code.pruner and component.type == USER_PRUNER
    if is_users and n_objectives == 1:
        return component
    return resolve_pruner(component, n_objectives=n_objectives)


def _check_same(stored: StoredStudy, spec: StudySpec, new: NewStudy) -> None:
    if new.if_exists is IfExists.FAIL:
        raise StudyExists(
            f"Study {spec.name!r} exists. Send if_exists: load to use it, or choose another name."
        )
    # A seed that nobody asked for is no difference.
    wanted = spec if new.seed is not None else replace(spec, seed=stored.spec.seed)
    if wanted != stored.spec:
        raise StudyExists(
            f"Study {spec.name!r} exists with {_describe_difference(wanted, stored.spec)}. Choose "
            "another name, or send what it was created with."
        )
    if new.settings is not None and new.settings != stored.settings:
        raise StudyExists(
            f"Study {spec.name!r} exists with other settings (budget, parallelism, lease_seconds "
            "or retry). Leave them out to take it as it is; PATCH changes them."
        )


async def _check_same_launch(engine: Engine, stored: StoredStudy, new: NewStudy) -> None:
    sweep = await engine.launches.find_sweep(stored.summary.study_id)
    if new.launch != (None if sweep is None else sweep.launch):
        raise StudyExists(
            f"Study {new.name!r} exists, but its trials are launched differently. Choose another "
            "name, or send what it was created with."
        )


def _describe_difference(wanted: StudySpec, stored: StudySpec) -> str:
    names = ("objectives", "space", "sampler", "pruner", "seed", "user_attrs", "user_code")
    found = next(name for name in names if getattr(wanted, name) != getattr(stored, name))
    if found in ("objectives", "user_attrs"):
        return f"different {found}"
    return f"a different {'python' if found == 'user_code' else found}"
