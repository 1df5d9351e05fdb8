"""Users' Python in the engine: what a new study takes from it, and how it declares a trial."""

import asyncio
import math
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

import structlog

from service.domain.errors import (
    CodeDisabled,
    CodeUnavailable,
    FieldError,
    InvalidCode,
)
from service.domain.studies import Component, Objective, StudySpec
from service.domain.user_code import USER_PRUNER, USER_SAMPLER, Role, UserCode
from service.engine.declaring import RunCode
from service.engine.drawing import end_sentence
from service.engine.enqueue import MAX_ENQUEUED, EnqueuedTrial
from service.engine.replica.user_child import PROGRAM, UserChild
from service.samplers import is_users_sampler, needs_process
from service.sandbox import (
    CustomPart,
    Description,
    FileFailed,
    Sandbox,
    SandboxUnavailable,
    SearchSpaceRun,
    StudyFacts,
    Suggest,
    SweepFacts,
    UserFile,
)
from service.search_space import describe

# They wait for other processes.
_THREADS = 4

_log = structlog.get_logger(__name__)

_DISABLED = (
    "This server runs no Python of its users. Start it with ASKTELL_USER_CODE=contained, or give "
    "space, sampler and pruner as JSON."
)
_NOT_CONTAINED = (
    "This machine cannot keep users' Python from files and the network, so this server runs none. "
    "Start it with ASKTELL_USER_CODE=uncontained to run it nevertheless."
)
_SAMPLERS_INSIDE = frozenset({"base_sampler", "independent_sampler"})


@dataclass(frozen=True, slots=True)
class CodeParts:
    """What there is in a study's Python.

    Attributes:
        code: With all functions that count.
        seed: That of the sampler; the study's unless that has one of its own.
        user_attrs: Of the study; those that were given beside the code come first.
        enqueued: What the study is to try first.
        notes: Sentences about what the code says and nobody follows.
    """

    code: UserCode
    sampler: Component | None = None
    pruner: Component | None = None
    seed: int | None = None
    user_attrs: Mapping[str, Any] = field(default_factory=dict)
    enqueued: tuple[EnqueuedTrial, ...] = ()
    notes: tuple[str, ...] = ()


def open_sandbox() -> Sandbox:
    """A sandbox that can run all that users write."""
    return Sandbox(programs=[PROGRAM])


class CodeRunner:
    """Runs users' Python in a sandbox.

    Args:
        sandbox: None: it is not allowed here.
        may_be_uncontained: Whether it is run where the kernel cannot keep it from files and the
            network.

    Attributes:
        threads: Where to wait for it.
    """

    def __init__(self, sandbox: Sandbox | None, *, may_be_uncontained: bool = False) -> None:
        self.threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="user-code")
        self._sandbox = sandbox
        self._may_be_uncontained = may_be_uncontained
        self._has_told = False

    async def read(
        self,
        code: UserCode,
        study: str,
        objectives: tuple[Objective, ...],
        user_attrs: Mapping[str, Any],
    ) -> CodeParts:
        """Returns what a new study of that name takes from its code.

        Args:
            user_attrs: Those that are given beside the code.

        Raises:
            InvalidCode: It fails, or does not fit the study.
            CodeDisabled: The server runs none.
            CodeUnavailable: It could not be run just now.
        """
        loop = asyncio.get_running_loop()
        read = partial(self._read, code, study, objectives, user_attrs)
        return await loop.run_in_executor(self.threads, read)

    def bind(self, spec: StudySpec) -> RunCode | None:
        """Returns what declares the parameters of the study's trials; None if nothing does."""
        code = spec.user_code
        if code is None or not code.declares_parameters:
            return None

        def run(number: int, suggest: Suggest, user_attrs: Mapping[str, Any]) -> SearchSpaceRun:
            return bind_code(self._open_sandbox(), code, spec)(number, suggest, user_attrs)

        return run

    def start_replica(self, spec: StudySpec) -> UserChild:
        """Starts a process in which the study's own sampler, pruner or terminator runs. Blocks.

        Raises:
            FileFailed: The code does not load.
            ChildGone: The process was killed, or none could be started.
            CodeDisabled, CodeUnavailable: As `read`.
        """
        assert spec.user_code is not None, "only its code can make such parts of a study"
        sandbox, file = self._open_sandbox(), _build_file(spec.user_code)
        sweep = _describe_sweep(spec.name, spec.objectives)
        return UserChild.start(sandbox, file, sweep)

    def close(self) -> None:
        """Ends what runs: whoever waits for it is told that it is not available."""
        if self._sandbox is not None:
            self._sandbox.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.threads.shutdown()

    def _read(self, code: UserCode, *facts: Any) -> CodeParts:
        return read_code(self._open_sandbox(), code, *facts)

    def _open_sandbox(self) -> Sandbox:
        if self._sandbox is None:
            raise CodeDisabled(_DISABLED)
        with _telling_unavailable():
            may_run = self._may_be_uncontained or self._sandbox.is_contained
            self._tell_containment(self._sandbox)
        if not may_run:
            raise CodeDisabled(_NOT_CONTAINED)
        return self._sandbox

    def _tell_containment(self, sandbox: Sandbox) -> None:
        """Says once what keeps users' Python in, and what does not."""
        if not self._has_told:
            _log.info("python.contained", ways=sandbox.describe_containment())
            self._has_told = True


def read_code(
    sandbox: Sandbox,
    code: UserCode,
    study: str,
    objectives: tuple[Objective, ...],
    user_attrs: Mapping[str, Any],
) -> CodeParts:
    """Returns what a new study of that name takes from its code. Blocks.

    Raises:
        InvalidCode, CodeUnavailable: As `CodeRunner.read`.
    """
    file = _build_file(code)
    try:
        with _telling_unavailable():
            description = sandbox.describe(
                file,
                study=_describe_study(study, objectives, user_attrs),
                sweep=_describe_sweep(study, objectives),
            )
    except FileFailed as error:
        raise _refuse_part(_blame(code), end_sentence(error.reason)) from error
    return _build_parts(code, file, description, objectives)


def bind_code(sandbox: Sandbox, code: UserCode, spec: StudySpec) -> RunCode:
    """Returns what declares the parameters of a study's trials. Blocks."""
    file = _build_file(code)
    total_seconds = _find_total_seconds(spec)

    def run(number: int, suggest: Suggest, user_attrs: Mapping[str, Any]) -> SearchSpaceRun:
        facts = _describe_study(spec.name, spec.objectives, {**spec.user_attrs, **user_attrs})
        with _telling_unavailable():
            return sandbox.run_objective(
                file, number, suggest, study=facts, total_seconds=total_seconds
            )

    return run


def _find_total_seconds(spec: StudySpec) -> float | None:
    # A heavy sampler of Optuna's has a limit of its own, and that it is slow is not the code's
    # fault.
    is_heavy = needs_process(spec.sampler) and not is_users_sampler(spec.sampler)
    return math.inf if is_heavy else None


@contextmanager
def _telling_unavailable() -> Iterator[None]:
    try:
        yield
    except SandboxUnavailable as error:
        raise CodeUnavailable(error.reason) from error


def _build_file(code: UserCode) -> UserFile:
    names = {role.value: name for role, name in code.functions.items()}
    return UserFile(code.source, "The study's Python", **names)


def _build_parts(
    code: UserCode, file: UserFile, description: Description, objectives: tuple[Objective, ...]
) -> CodeParts:
    _check_study(description, objectives)
    pruner, notes = _take_pruner(description, len(objectives))
    sampler, seed = _take_seed(_find_part(description.sampler, USER_SAMPLER))
    return CodeParts(
        code=UserCode(
            code.source,
            _find_functions(file, description),
            has_terminator=description.has_terminator,
        ),
        sampler=sampler,
        pruner=pruner,
        seed=seed,
        user_attrs=description.user_attrs,
        enqueued=tuple(EnqueuedTrial(e.params, e.user_attrs) for e in description.enqueued),
        notes=(*description.notes, *notes),
    )


def _describe_study(
    name: str, objectives: tuple[Objective, ...], user_attrs: Mapping[str, Any]
) -> StudyFacts:
    return StudyFacts(
        name=name,
        directions=tuple(each.direction.value for each in objectives),
        metric_names=tuple(each.name for each in objectives),
        user_attrs=user_attrs,
    )


def _describe_sweep(study: str, objectives: tuple[Objective, ...]) -> SweepFacts:
    """What an `optimizer(sweep)` may look at: as much of W&B's sweep as there is of it here."""
    metrics = [{"name": each.name, "goal": each.direction.value} for each in objectives]
    told: dict[str, Any] = {"metric": metrics[0]} if len(metrics) == 1 else {"metrics": metrics}
    return SweepFacts(name=study, config={"name": study, "method": "custom", **told})


def _blame(code: UserCode) -> str:
    """A part of the code that fails: a function that is named and nowhere to be found, or all."""
    odd = (role.value for role, name in code.functions.items() if name not in code.source)
    return next(odd, "source")


def _refuse_source(message: str) -> InvalidCode:
    return _refuse_part("source", message)


def _refuse_part(part: str, message: str) -> InvalidCode:
    return InvalidCode(message, errors=[FieldError(f"python.{part}", message)])


def _find_functions(file: UserFile, description: Description) -> Mapping[Role, str]:
    named = {role: getattr(file, role.value) for role in Role}
    return {role: name for role, name in named.items() if name in description.functions}


def _check_study(description: Description, objectives: tuple[Objective, ...]) -> None:
    """A study that the code makes has to be the one that was asked for."""
    directions = tuple(each.direction.value for each in objectives)
    names = tuple(each.name for each in objectives)
    if description.directions not in (None, directions):
        raise _refuse_source(
            f"The study in the Python has the directions {_list(description.directions)}, but the "
            f"objectives here have {_list(directions)}. Make them the same."
        )
    if description.metric_names not in ((), names):
        raise _refuse_source(
            f"The study in the Python has the metrics {_list(description.metric_names)}, but the "
            f"objectives here are {_list(names)}. Make them the same."
        )
    if len(description.enqueued) > MAX_ENQUEUED:
        raise _refuse_source(
            f"The study in the Python has {len(description.enqueued)} trials enqueued; it may "
            f"have {MAX_ENQUEUED}. Enqueue more with POST /studies/{{study}}/enqueue."
        )


def _find_part(found: Component | CustomPart | None, users: str) -> Component | None:
    """What JSON cannot say is run as it is, beside the server."""
    return Component(users, {"name": found.type}) if isinstance(found, CustomPart) else found


def _take_pruner(
    description: Description, n_objectives: int
) -> tuple[Component | None, tuple[str, ...]]:
    """The pruner, and sentences about one that nobody asks."""
    pruner = _find_part(description.pruner, USER_PRUNER)
    if pruner is None or description.directions is None or n_objectives == 1:
        return pruner, ()
    # Optuna gives every study a pruner.
    return None, ("The study's pruner does not count: several objectives are never pruned.",)


def _take_seed(sampler: Component | None) -> tuple[Component | None, int | None]:
    """Here a study has the seed, and its sampler draws from that."""
    if sampler is None:
        return None, None
    seed = sampler.args.get("seed")
    if not (seed is None or type(seed) is int):
        raise _refuse_source(f"The seed of a sampler is an integer here, not {describe(seed)}.")
    return Component(sampler.type, _drop_seeds(sampler.args)), seed


def _drop_seeds(args: Mapping[str, Any]) -> dict[str, Any]:
    """Those of samplers inside, too."""
    kept = {name: value for name, value in args.items() if name != "seed"}
    for name in _SAMPLERS_INSIDE & kept.keys():
        inner = kept[name]
        if isinstance(inner, Mapping):
            kept[name] = {**inner, "args": _drop_seeds(inner.get("args") or {})}
    return kept


def _list(words: tuple[str, ...] | None) -> str:
    return ", ".join(words or ())
