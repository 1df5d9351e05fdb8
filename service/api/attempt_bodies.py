"""Bodies of the worker protocol: their shape, and their translation into the engine's commands."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Self

from pydantic import ConfigDict, Field, StrictInt, model_validator
from pydantic_core import PydanticCustomError

from service.api.bodies import Body
from service.api.fields import Count, FiniteNumber, Number, Reason, Text, Url
from service.api.launch_parts import Label
from service.api.trial_bodies import MAX_POINTS, MAX_WAIT_SECONDS, PointBody
from service.domain.attempts import AttemptState, Ending, EndingKind, Observation
from service.domain.limits import MAX_NAME_LENGTH
from service.domain.workers import Worker, WorkerReport, WorkerState
from service.engine.dispatch import WorkerClaim
from service.storage.attempts import MAX_LOG_PART_BYTES, LogPart

_MAX_SLOTS = 1000
_MAX_EXECUTORS = 100
_MAX_REF_LENGTH = 1024
_MAX_NOTE_LENGTH = 2000
_MAX_VALUES = 1000
_MAX_SIGNAL = 127
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

_Slots = Annotated[StrictInt, Field(ge=0, le=_MAX_SLOTS)]
_Executors = Annotated[list[Label], Field(min_length=1, max_length=_MAX_EXECUTORS)]
_Adopted = Annotated[list[Label], Field(max_length=_MAX_EXECUTORS)]
_Held = Annotated[list[Label], Field(max_length=_MAX_SLOTS)]
_Points = Annotated[list[PointBody], Field(max_length=MAX_POINTS)]
_MetricName = Annotated[Text, Field(max_length=MAX_NAME_LENGTH)]
_Values = Annotated[dict[_MetricName, Number], Field(max_length=_MAX_VALUES)]
_ExitCode = Annotated[StrictInt, Field(ge=-(2**31), lt=2**31)]
_Signal = Annotated[StrictInt, Field(ge=1, le=_MAX_SIGNAL)]
_Offset = Annotated[StrictInt, Field(ge=0, lt=2**62)]
_PartBytes = Annotated[StrictInt, Field(ge=0, le=MAX_LOG_PART_BYTES)]
_Claim = Annotated[Count, Field(description="As the attempt was handed out with")]


class WorkerBody(Body):
    """What a worker says of itself, every ten seconds."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "gpu-1",
                    "host": "gpu-1.example",
                    "slots": 4,
                    "busy": 1,
                    "executors": ["process"],
                    "version": "0.1.0",
                }
            ]
        }
    )

    name: Label
    host: Label
    queue: Label = "default"
    slots: _Slots
    busy: _Slots = 0
    executors: _Executors
    state: WorkerState = WorkerState.ACTIVE
    version: Label

    def to_report(self, worker_id: str) -> WorkerReport:
        return WorkerReport(
            Worker(worker_id, self.name, self.host),
            queue=self.queue,
            executors=tuple(self.executors),
            slots=self.slots,
            busy=self.busy,
            state=self.state,
            version=self.version,
        )


class ClaimBody(Body):
    """What a worker has room for, and what it is at."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "worker_id": "w-5f0c2a",
                    "worker_name": "gpu-1",
                    "host": "gpu-1.example",
                    "executors": ["process"],
                    "count": 2,
                    "held": ["k3v9x2ab-12-1"],
                    "wait_seconds": 20,
                }
            ]
        }
    )

    worker_id: Label
    worker_name: Label
    host: Label
    queue: Label = "default"
    executors: _Executors
    count: _Slots = Field(description="How many new attempts to hand out at most")
    adopts: _Adopted = Field(
        default_factory=list,
        description="Executors with which it can go on with what workers launched that are away",
    )
    held: _Held = Field(
        default_factory=list,
        description="Ids of the attempts that it is at; others that it was given come back",
    )
    wait_seconds: Annotated[FiniteNumber, Field(ge=0, le=MAX_WAIT_SECONDS)] = Field(
        default=0, description="How long to wait for the first attempt"
    )

    def to_command(self, is_wanted: Callable[[], Awaitable[bool]]) -> WorkerClaim:
        return WorkerClaim(
            Worker(self.worker_id, self.worker_name, self.host),
            queue=self.queue,
            executors=tuple(self.executors),
            count=self.count,
            adopts=tuple(self.adopts),
            held=frozenset(self.held),
            wait_seconds=self.wait_seconds,
            is_wanted=is_wanted,
        )


class EndingBody(Body):
    """How an execution ended, as its worker saw it."""

    kind: EndingKind
    exit_code: _ExitCode | None = Field(
        default=None, description="null if a signal ended it, or nobody has seen one"
    )
    signal: _Signal | None = None
    message: Reason | None = Field(
        default=None,
        description="What there is to say beyond that, for people; if it `failed`, all there is",
    )
    values: _Values | None = Field(
        default=None, description="The last value of each metric that was printed, by name"
    )

    def to_ending(self) -> Ending:
        return Ending(
            self.kind,
            exit_code=self.exit_code,
            signal=self.signal,
            message=self.message,
            values=self.values,
        )


class ObserveBody(Body):
    """What a worker saw of an attempt since the last time."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"claim": 1, "state": "running", "points": [{"step": 3, "value": 0.91}]},
                {
                    "claim": 1,
                    "state": "running",
                    "ending": {"kind": "exited", "exit_code": 0, "values": {"accuracy": 0.97}},
                },
            ]
        }
    )

    claim: _Claim
    state: AttemptState = Field(description="launching, running or stopping")
    external_ref: Annotated[Text, Field(max_length=_MAX_REF_LENGTH)] | None = Field(
        default=None, description="Its id in the outside system, once there is one"
    )
    url: Url | None = Field(default=None, description="Its page in the outside system")
    note: Annotated[Text, Field(max_length=_MAX_NOTE_LENGTH)] | None = Field(
        default=None,
        description="What people should know of it; empty: nothing any more; null: as before",
    )
    points: _Points = Field(
        default_factory=list, description="Of the only objective; repeats are ignored"
    )
    ending: EndingBody | None = Field(default=None, description="Once it has ended")

    @model_validator(mode="after")
    def _check_state(self) -> Self:
        if self.state.is_over:
            raise PydanticCustomError(
                "state", "state must be launching, running or stopping; how it ended is in ending"
            )
        return self

    def to_observation(self, attempt: int) -> Observation:
        return Observation(
            attempt,
            self.claim,
            self.state,
            external_ref=self.external_ref,
            url=self.url,
            note=self.note,
            points=tuple((point.step, point.value) for point in self.points),
            ending=None if self.ending is None else self.ending.to_ending(),
        )


class LogBody(Body):
    """A part of what a program printed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"claim": 1, "offset": 0, "text": "epoch=1 accuracy=0.91\n", "bytes": 22}]
        }
    )

    claim: _Claim
    offset: _Offset = Field(description="Bytes that were printed before it")
    text: Annotated[str, Field(max_length=MAX_LOG_PART_BYTES)] = Field(
        description="As UTF-8; what is none is replaced by U+FFFD"
    )
    bytes: _PartBytes = Field(description="How many bytes were printed; by these offsets go")

    @model_validator(mode="after")
    def _check_bytes(self) -> Self:
        # A replacement character stands for one byte, or for up to three.
        longest = len(self.text.encode())
        shortest = longest - 2 * self.text.count(_REPLACEMENT)
        if not shortest <= self.bytes <= longest:
            raise PydanticCustomError(
                "bytes", "bytes must be the size of what text was made from, replacements aside"
            )
        return self

    def to_part(self) -> LogPart:
        return LogPart(self.offset, _fit(self.text, self.bytes))


def _fit(text: str, size: int) -> bytes:
    """The text in so many bytes, so that offsets are those of what the program printed."""
    content = text.encode()
    if len(content) == size:
        return content
    return text.replace(_REPLACEMENT, "?").encode().ljust(size, b"?")
