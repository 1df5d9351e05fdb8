"""A run as the stand-in remembers it."""

import json
from dataclasses import dataclass, field
from typing import Any

HISTORY, EVENTS, OUTPUT = "wandb-history.jsonl", "wandb-events.jsonl", "output.log"
ACTIVE_STATES = ("running", "preempting")
CRASHED = "crashed"


@dataclass(slots=True, kw_only=True)
class RunRecord:
    """One run. Tests may plant one: `backend.plant_run(...)`.

    Attributes:
        state: pending, running, preempting, preempted, finished, failed, crashed or killed.
        config: As W&B keeps it, `{"lr": {"value": 0.1}}`; see `params`.
        streamed: Lines of the streamed files, by file name and line number.
        is_stopped: Somebody asked for a stop; the run is told in its next file_stream answer.
        starts: How often a program began this run.
    """

    entity: str
    project: str
    name: str
    created_at: str
    state: str = "pending"
    display_name: str | None = None
    notes: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    streamed: dict[str, dict[int, str]] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    group: str | None = None
    job_type: str | None = None
    sweep: str | None = None
    host: str | None = None
    program: str | None = None
    commit: str | None = None
    is_stopped: bool = False
    exit_code: int | None = None
    starts: int = 0
    heartbeat_at: float = 0

    @property
    def path(self) -> str:
        return f"{self.entity}/{self.project}/{self.name}"

    @property
    def params(self) -> dict[str, Any]:
        """The config without W&B's own entries, values only."""
        return {key: each["value"] for key, each in self.config.items() if key != "_wandb"}

    @property
    def history(self) -> list[dict[str, Any]]:
        """The rows that were logged, in order, `_step` among their keys."""
        return [json.loads(line) for line in self.get_lines(HISTORY)]

    @property
    def output(self) -> str:
        return "".join(self.get_lines(OUTPUT))

    @property
    def last_step(self) -> int:
        """-1 if nothing was logged."""
        return max((row.get("_step", -1) for row in self.history), default=-1)

    def get_lines(self, file_name: str) -> list[str]:
        return [line for _, line in sorted(self.streamed.get(file_name, {}).items())]

    def write_lines(self, file_name: str, offset: int, lines: list[str]) -> None:
        """Writes over what was there: the same request twice changes nothing."""
        self.streamed.setdefault(file_name, {}).update(enumerate(lines, start=offset))

    def start(self, now: float) -> None:
        """A program begins the run, or goes on with it."""
        self.state, self.exit_code, self.is_stopped = "running", None, False
        self.starts += 1
        self.heartbeat_at = now

    def beat(self, now: float) -> None:
        """Its program was heard of; what was called crashed has only been silent."""
        self.heartbeat_at = now
        if self.state == CRASHED:
            self.state = "running"

    def end(self, exit_code: int) -> None:
        """The program said its last word. Which state follows is modelled on W&B's pages."""
        self.exit_code = exit_code
        if self.state == "preempting" and exit_code != 0:
            self.state = "preempted"
        elif self.is_stopped:
            self.state = "killed"
        else:
            self.state = "finished" if exit_code == 0 else "failed"

    def stop(self) -> None:
        """Asks for the end; nothing happens to a run that has ended."""
        if self.state == "pending":
            self.state = "killed"
        elif self.state in (*ACTIVE_STATES, CRASHED):
            self.is_stopped = True

    def expire(self, oldest_heartbeat_at: float) -> None:
        """Ends the run if its last heartbeat was too long ago."""
        if self.state in ACTIVE_STATES and self.heartbeat_at < oldest_heartbeat_at:
            self.state = "preempted" if self.state == "preempting" else CRASHED
