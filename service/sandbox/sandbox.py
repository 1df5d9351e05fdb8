"""Runs user files, each call in a process of its own that is cut off from everything."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from functools import partial
from threading import BoundedSemaphore, Lock
from types import TracebackType
from typing import Any, Self

from optuna.distributions import BaseDistribution

from service.domain.errors import InvalidSpace
from service.sandbox import containment
from service.sandbox.answers import (
    check_json,
    make_printable,
    read_description,
    read_failure,
    read_run,
)
from service.sandbox.call import NO_MESSAGE, Call
from service.sandbox.errors import (
    FileFailed,
    SandboxError,
    SandboxUnavailable,
    SuggestRefused,
    ZygoteGone,
)
from service.sandbox.files import Description, SearchSpaceRun, StudyFacts, SweepFacts, UserFile
from service.sandbox.limits import SESSION_LIMITS, SandboxLimits
from service.sandbox.session import Session
from service.sandbox.zygote_process import Facts, ZygoteProcess, start_zygote
from service.search_space import describe, find_number_problem, is_same_json, parse_distribution
from service.search_space.variants import find_variant_problem

_SHOWN_PROBLEMS = 3

Suggest = Callable[[str, Mapping[str, Any]], Any]
"""Answers one suggestion: a parameter's name and its distribution as native JSON, such as
`{"type": "float", "low": 0.0, "high": 1.0, "log": false, "step": null}`, give a value.

The document has passed `service.search_space.parse_distribution`. For a categorical one the value
is one of its choices, where true is not 1; else a number. Another fails the file. May raise
SuggestRefused; whatever else it raises ends the file and comes out of `run_objective` as it is.
"""


class Sandbox:
    """Runs user files, each call in a process of its own that is cut off from everything.

    Blocking, for threads of a server; any number may call at once, `calls_at_once` of them run.
    Nothing is started before the first call. Every process ends with its call, and all of them
    with `close` or with this process.

    Args:
        programs: Modules that sessions may run; a sealed process can import none that is the
            server's own, so they are imported before.
    """

    def __init__(
        self,
        limits: SandboxLimits | None = None,
        *,
        session_limits: SandboxLimits = SESSION_LIMITS,
        calls_at_once: int = 4,
        programs: Sequence[str] = (),
    ) -> None:
        self._limits = limits or SandboxLimits()
        self._session_limits = session_limits
        self._programs = programs
        self._places = BoundedSemaphore(calls_at_once)
        self._lock = Lock()
        self._zygote: ZygoteProcess | None = None
        self._facts: Facts | None = None
        self._is_closed = False

    def run_objective(
        self,
        file: UserFile,
        number: int,
        suggest: Suggest,
        *,
        study: StudyFacts | None = None,
        total_seconds: float | None = None,
    ) -> SearchSpaceRun:
        """Run `objective(trial)`, or the named search space, for trial `number`.

        A name that is asked twice is suggested once, as in Optuna.

        Args:
            total_seconds: In place of that limit, where `suggest` takes long.

        Raises:
            FileFailed: With the reason; nothing of the file runs any more.
            SandboxUnavailable: No process could be started, or it was killed from outside.
        """
        limits = self._limits
        if total_seconds is not None:
            limits = replace(limits, total_seconds=total_seconds)
        with self._open_call(file, limits) as call:
            call.send(_write_request("run", file, number=number, study=study))
            last, params = _answer_suggestions(call, suggest, self._limits)
            call.end()
            _check_op(last, "ran")
            return read_run(last, params, call.output)

    def describe(
        self, file: UserFile, *, study: StudyFacts | None = None, sweep: SweepFacts | None = None
    ) -> Description:
        """Return what the file defines; runs `sampler()`, `pruner()`, `study()` or the optimizer.

        Args:
            study: For the search space, which is run once.
            sweep: For an optimizer.

        Raises:
            FileFailed: It does not load, defines nothing that counts, lacks a function that was
                named, or a function gives the wrong type.
            SandboxUnavailable: As `run_objective`.
        """
        with self._open_call(file, self._limits) as call:
            call.send(_write_request("describe", file, study=study, sweep=sweep))
            last, _ = _answer_suggestions(call, _suggest_middle, self._limits)
            call.end()
            _check_op(last, "described")
            return read_description(last, file, call.output)

    def open_session(
        self, file: UserFile, program: str, *, sweep: SweepFacts | None = None
    ) -> Session:
        """Start a child that loads `file` and then is served by a program of ours, until its end.

        Sessions count for nothing in `calls_at_once`; the caller has to bound them.

        Args:
            program: A module with `serve(module, request, channel)`, one of `programs`.
            sweep: For an optimizer.

        Raises:
            FileFailed: The file does not load.
            SandboxUnavailable: As `run_objective`.
        """
        _check_text(file, self._limits)
        call = self._start_call(self._session_limits)
        try:
            call.send({**_write_request("serve", file, sweep=sweep), "program": program})
            return Session(call, partial(_write_reason, file, call=call))
        except BaseException:
            _end(call)
            raise

    @property
    def cuts_network(self) -> bool:
        """Whether user files are kept from the network here; starts a process the first time.

        Raises:
            SandboxUnavailable: No process could be started.
        """
        return containment.cuts_network(self._find_facts())

    @property
    def contains_files(self) -> bool:
        """Whether user files can read nothing here but Python's own folders.

        Raises:
            SandboxUnavailable: No process could be started.
        """
        return containment.contains_files(self._find_facts())

    @property
    def is_contained(self) -> bool:
        """Whether user files are kept from the network and from files here.

        Where this is false, user files must not run unless an administrator allows it.

        Raises:
            SandboxUnavailable: No process could be started.
        """
        return self.cuts_network and self.contains_files

    def describe_containment(self) -> list[str]:
        """Return one sentence for each way of containment that is, or is not, in force here.

        Raises:
            SandboxUnavailable: No process could be started.
        """
        return containment.describe_ways(self._find_facts())

    def close(self) -> None:
        """End every process; running calls raise SandboxUnavailable. May be called twice."""
        with self._lock:
            self._is_closed = True
            self._drop_zygote()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def _open_call(self, file: UserFile, limits: SandboxLimits) -> Iterator[Call]:
        """Start a child for `file`; it is gone when this is left."""
        _check_text(file, limits)
        with self._places:
            call = self._start_call(limits)
            try:
                yield call
            except FileFailed as error:
                call.end()
                raise FileFailed(_write_reason(file, error, call=call)) from error
            finally:
                _end(call)

    def _start_call(self, limits: SandboxLimits) -> Call:
        with self._lock:
            try:
                return self._start_child(self._get_zygote(), limits)
            except ZygoteGone:
                self._drop_zygote()
                return self._start_child(self._get_zygote(), limits)

    def _get_zygote(self) -> ZygoteProcess:
        if self._is_closed:
            raise SandboxUnavailable("The sandbox is closed.")
        if self._zygote is None or not self._zygote.is_running():
            self._drop_zygote()
            self._zygote = start_zygote(self._programs)
        return self._zygote

    def _start_child(self, zygote: ZygoteProcess, limits: SandboxLimits) -> Call:
        call = Call(zygote, limits)
        try:
            self._check_sealed(zygote, call.wait_until_ready())
        except SandboxUnavailable:
            call.close()
            raise
        return call

    def _check_sealed(self, zygote: ZygoteProcess, ready: Mapping[str, Any]) -> None:
        """Keep how well a child is cut off, or refuse one that is less so than the first."""
        facts = {**zygote.facts, **ready["facts"]}
        if self._facts is None:
            self._facts = facts
        if facts != self._facts:
            raise SandboxUnavailable("A process could not be cut off as the first one was.")

    def _drop_zygote(self) -> None:
        if self._zygote is not None:
            self._zygote.close()
            self._zygote = None

    def _find_facts(self) -> Facts:
        if self._facts is None:
            with self._places:
                _end(self._start_call(self._limits))
        assert self._facts is not None
        return self._facts


def _end(call: Call) -> None:
    try:
        call.end()
    finally:
        call.close()


def _check_text(file: UserFile, limits: SandboxLimits) -> None:
    length = len(file.source.encode(errors="surrogatepass"))
    if length > limits.text_bytes:
        raise FileFailed(
            f"{file.name} has {length} bytes; a user file may have {limits.text_bytes}."
        )


def _write_request(
    do: str,
    file: UserFile,
    *,
    number: int = 0,
    study: StudyFacts | None = None,
    sweep: SweepFacts | None = None,
) -> dict[str, Any]:
    return {
        "do": do,
        "file": {field.name: getattr(file, field.name) for field in fields(file)},
        "number": number,
        "study": asdict(study or StudyFacts()),
        "sweep": asdict(sweep or SweepFacts()),
    }


def _answer_suggestions(
    call: Call, suggest: Suggest, limits: SandboxLimits
) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """Answer every suggestion; return the first other message, and the values by name."""
    params: dict[str, Any] = {}
    message = call.receive()
    for _ in range(limits.messages):
        if message.get("op") != "suggest":
            return message, params
        _check_choices(message, limits.choices)
        call.send(_answer(message, suggest, params))
        message = call.receive()
    if message.get("op") == "suggest":
        raise FileFailed(f"It suggested more than {limits.messages} times.")
    return message, params


def _check_choices(message: Mapping[str, Any], most: int) -> None:
    match message:
        case {"name": name, "distribution": {"choices": list(choices)}} if len(choices) > most:
            raise FileFailed(
                f"{describe(name)} has {len(choices)} choices; a parameter may have {most}."
            )


def _answer(message: Mapping[str, Any], suggest: Suggest, params: dict[str, Any]) -> dict[str, Any]:
    try:
        name, document = _read_suggestion(message, params)
        value = params[name] = suggest(name, document)
    except SuggestRefused as error:
        return {"refused": str(error)}
    if document["type"] == "categorical":
        return {"index": _find_choice(name, document["choices"], value)}
    if problem := find_number_problem(value):
        raise FileFailed(f"{describe(name)} cannot have the value that was chosen. {problem}")
    return {"value": value}


def _read_suggestion(
    message: Mapping[str, Any], params: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    name, document = message.get("name"), message.get("distribution")
    # Its trial asks once a name, and in the native form.
    if not isinstance(name, str) or not isinstance(document, dict):
        raise FileFailed(NO_MESSAGE)
    if name in params or "type" not in document:
        raise FileFailed(NO_MESSAGE)
    check_json(document)
    try:
        distribution = parse_distribution(name, document)
    except InvalidSpace as error:
        problems = " ".join(each.message for each in error.errors[:_SHOWN_PROBLEMS])
        raise SuggestRefused(f"{name}: {problems}") from error
    if problem := find_variant_problem(name):
        raise SuggestRefused(problem)
    return name, {"type": document["type"], **_read_attributes(distribution)}


def _read_attributes(distribution: BaseDistribution) -> dict[str, Any]:
    """Return what parsing made of a document, which may have left something out."""
    attributes = distribution._asdict()
    return {key: list(each) if key == "choices" else each for key, each in attributes.items()}


def _find_choice(name: str, choices: list[Any], value: Any) -> int:
    for index, choice in enumerate(choices):
        if is_same_json(choice, value):
            return index
    raise FileFailed(
        f"{describe(name)} cannot have the value that was chosen: {describe(value)} is none of "
        "its choices."
    )


def _suggest_middle(_name: str, document: Mapping[str, Any]) -> Any:
    """Answer as `Suggest`, with what a search space is least likely to stumble over."""
    if document["type"] == "categorical":
        return document["choices"][0]
    low, high, step = document["low"], document["high"], document["step"]
    if step is not None:
        return low + (high - low) // step // 2 * step
    return math.sqrt(low) * math.sqrt(high) if document["log"] else low / 2 + high / 2


def _check_op(message: Mapping[str, Any], wanted: str) -> None:
    match message.get("op"):
        case "failed":
            raise read_failure(message)
        case op if op != wanted:
            raise FileFailed(NO_MESSAGE)


def _write_reason(file: UserFile, error: SandboxError, *, call: Call) -> str:
    printed = f" It had printed: {call.output}" if call.output else ""
    return make_printable(f"{file.name}: {error.reason}{printed}")
