"""What a terminal and a pipe are shown of a sweep."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import asktell
import pytest
from asktell._records import read_trial
from rich.console import Console

from service.cli.documents import to_document
from service.cli.formats import describe_params, format_age, format_duration, format_took
from service.cli.sweep.descriptions import describe_failure, describe_mirror
from service.cli.sweep.live import LineView, TerminalView
from service.cli.sweep.run import build_name
from service.cli.sweep.snapshots import Failure, Snapshot
from service.cli.sweep.wishes import Wishes, draft_wished
from tests.sdk.scripts import TOLD

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def build_snapshot(
    *,
    complete: int = 0,
    pruned: int = 0,
    fail: int = 0,
    running: int = 0,
    max_trials: int | None = 8,
    state: str = "active",
    best: float | None = None,
    failure: str | None = None,
    hint: str | None = None,
    mirror: asktell.Mirror | None = None,
    newest: asktell.Attempt | None = None,
) -> Snapshot:
    ended = complete + pruned + fail
    counts = asktell.TrialCounts(0, running, complete, pruned, fail, ended + running)
    study = asktell.StudySummary(
        name="digits",
        state=state,
        stop_reason=None,
        started=ended + running,
        max_trials=max_trials,
        objectives=(asktell.Objective("accuracy", asktell.StudyDirection.MAXIMIZE),),
        counts=counts,
        best=None if best is None else asktell.BestTrial(3, best),
        revision=1,
        created_at=NOW,
        last_activity_at=NOW,
    )
    summary = asktell.SweepSummary(
        "digits", "k3v9x2ab", state, "default", "process", None, None, mirror, {}, study
    )
    found = None
    if best is not None:
        params = {"lr": 0.012345678, "model": {"layers": 2}}
        found = read_trial(TOLD | {"number": 3, "values": [best], "params": params})
    failed = None if failure is None else Failure.of_attempt(build_attempt(failure))
    return Snapshot(summary, found, failed, newest, hint)


def build_attempt(reason: str | None, **changes: Any) -> asktell.Attempt:
    fields = {
        "id": "k3v9x2ab-5-1",
        "trial": 5,
        "attempt": 1,
        "state": "failed",
        "worker": "box",
        "worker_id": "w",
        "host": "box",
        "external_ref": None,
        "url": None,
        "note": None,
        "claimed_at": NOW,
        "started_at": NOW,
        "ended_at": NOW,
        "exit_code": 1,
        "signal": None,
        "reason": reason,
        "log_bytes": 0,
    }
    return asktell.Attempt(**{**fields, **changes})


class Screen:
    """A terminal whose text can be read."""

    def __init__(self) -> None:
        self.file = StringIO()
        self.seconds = 100.0
        console = Console(file=self.file, force_terminal=True, width=120, color_system=None)
        self.view = TerminalView(console, lambda: self.seconds)

    def show(self, snapshot: Snapshot) -> list[str]:
        """The lines that were drawn."""
        self.file.seek(0)
        self.file.truncate()
        self.view.show(snapshot)
        return [line.strip() for line in self.file.getvalue().splitlines()]


@pytest.fixture
def screen() -> Screen:
    return Screen()


def test_a_terminal_shows_all_that_matters(screen: Screen) -> None:
    snapshot = build_snapshot(
        complete=2, pruned=1, fail=1, running=2, best=0.9312, failure="exit code 1", hint="no room"
    )
    text = "\n".join(screen.show(snapshot))
    bar = "█" * 10 + "▓" * 5 + "×" * 5 + "▒" * 10 + "·" * 10
    assert f"{bar}  2 complete, 1 pruned, 1 failed, 2 running, 2 left" in text
    assert "digits: active" in text
    assert "best accuracy 0.9312 (trial 3)\n" in text
    assert "lr=0.01235  model.layers=2" in text
    assert "trial 5 failed: exit code 1" in text
    assert "no room" in text
    screen.view.close()


def test_a_sweep_without_a_limit_has_a_bar_of_what_there_is(screen: Screen) -> None:
    text = "\n".join(screen.show(build_snapshot(complete=1, running=1, max_trials=None)))
    assert "█" * 20 + "▒" * 20 + "  1 complete, 0 pruned, 0 failed, 1 running" in text
    assert "left" not in text
    screen.view.close()


def test_the_time_to_go_follows_from_the_pace_seen(screen: Screen) -> None:
    assert "to go" not in "\n".join(screen.show(build_snapshot(complete=2)))
    screen.seconds += 30
    assert "to go" not in "\n".join(screen.show(build_snapshot(complete=2)))
    screen.seconds += 30
    assert "about 2 min to go" in "\n".join(screen.show(build_snapshot(complete=4)))
    assert "to go" not in "\n".join(screen.show(build_snapshot(complete=5, state="stopping")))
    screen.view.close()


def test_a_pipe_gets_a_line_for_each_change() -> None:
    lines: list[str] = []
    view = LineView(lines.append)
    view.show(build_snapshot(hint="no worker"))
    view.show(build_snapshot(hint="no worker"))
    view.show(build_snapshot(running=1))
    view.show(build_snapshot(complete=1, best=0.5, failure="a\n  b"))
    view.show(build_snapshot(complete=1, best=0.5, failure="a\n  b"))
    assert lines == [
        "0 complete, 0 pruned, 0 failed, 0 running, 8 left",
        "no worker",
        "0 complete, 0 pruned, 0 failed, 1 running, 7 left",
        "1 complete, 0 pruned, 0 failed, 0 running, 7 left; best accuracy 0.5 (trial 3)",
        "trial 5 failed: a b",
    ]


URL = "https://wandb.example/ada/digits"
AWAY = asktell.Mirror(None, None, None, "W&B does not\nanswer.")
MADE = asktell.Mirror("ada/digits/k1", f"{URL}/sweeps/k1", "running", None)
LOST = asktell.Mirror("ada/digits/k1", f"{URL}/sweeps/k1", "running", "W&B is away.")


def test_what_there_is_outside_is_shown(screen: Screen) -> None:
    run = build_attempt(None, state="running", url=f"{URL}/runs/5", note="Recorded offline.")
    snapshot = build_snapshot(running=1, mirror=MADE, newest=run)
    lines: list[str] = []
    view = LineView(lines.append)
    for _ in range(2):
        view.show(snapshot)

    drawn = screen.show(snapshot)

    said = [
        f"in W&B: {URL}/sweeps/k1",
        f"trial 5: {URL}/runs/5",
        "trial 5: Recorded offline.",
    ]
    assert lines[1:] == said
    assert [line for line in drawn if line in said] == said
    screen.view.close()


@pytest.mark.parametrize(
    ("mirror", "words"),
    [
        (None, None),
        (asktell.Mirror(None, None, None, None), None),
        (AWAY, "not in W&B: W&B does not answer."),
        (MADE, f"in W&B: {URL}/sweeps/k1"),
        (LOST, "out of touch with W&B: W&B is away."),
    ],
)
def test_where_a_sweep_is_outside(mirror: asktell.Mirror | None, words: str | None) -> None:
    assert describe_mirror(mirror) == words


def test_wishes_about_runs_are_about_the_launch() -> None:
    file = "launch: {executor: wandb, program: p, project: x, directory: /srv}"
    wishes = Wishes(executor="wandb", project="y", mode="offline")

    changed = draft_wished(file, wishes, name="a", directory="/home").document

    launch = {"executor": "wandb", "program": "p", "project": "y", "mode": "offline"}
    assert changed == {"name": "a", "launch": launch | {"directory": "/srv"}}


def test_a_program_cannot_colour_the_terminal(screen: Screen) -> None:
    text = "\n".join(screen.show(build_snapshot(failure="[red]x[/red] \x1b[31mred\x1b[0m\x07")))
    assert "[red]x[/red]" in text
    assert "\x1b[31m" not in text
    assert "\x07" not in text
    screen.view.close()


@pytest.mark.parametrize(
    ("attempt", "sentence"),
    [
        (build_attempt("exit code 3"), "trial 5 failed: exit code 3"),
        (build_attempt(None, state="lost", attempt=2), "attempt 2 of trial 5 was lost: lost"),
        (build_attempt("a\x07\n\t b"), "trial 5 failed: a\ufffd b"),
        (build_attempt("x" * 400), f"trial 5 failed: {'x' * 300}…"),
    ],
)
def test_a_failure_is_one_short_line(attempt: asktell.Attempt, sentence: str) -> None:
    assert describe_failure(Failure.of_attempt(attempt)) == sentence


def test_params_of_groups_have_dots() -> None:
    assert describe_params({"b": {"c": True, "a": 1e-7}, "a": "x"}) == "a=x  b.a=1e-07  b.c=True"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 ms"),
        (0.0123, "12 ms"),
        (0.0996, "100 ms"),
        (0.1, "0.10 s"),
        (0.204, "0.20 s"),
        (0.996, "1.0 s"),
        (3.21, "3.2 s"),
        (9.96, "10 s"),
        (59.9, "59 s"),
        (91, "1 min 31 s"),
        (5400, "1 h 30 min"),
    ],
)
def test_short_times_that_something_took_have_two_digits(seconds: float, words: str) -> None:
    assert format_took(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (89, "89 s"), (91, "2 min"), (5400, "1.5 h")]
)
def test_durations_are_rough(seconds: float, words: str) -> None:
    assert format_duration(seconds) == words


def test_ages_are_never_negative() -> None:
    assert format_age(NOW + timedelta(seconds=5), NOW) == "1 s"
    assert format_age(None, NOW) == "-"


def test_documents_are_json() -> None:
    document = to_document({"trial": read_trial(TOLD | {"values": ["NaN"]}), "at": NOW})
    assert document["trial"]["values"] == ["NaN"]
    assert document["trial"]["state"] == "COMPLETE"
    assert document["at"] == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("digits/sweep.yaml", "digits-ab12"),
        ("digits/lenet.v2.yaml", "lenet.v2-ab12"),
        ("/sweep.yaml", "sweep-ab12"),
    ],
)
def test_names_tell_where_a_sweep_comes_from(file: str, name: str) -> None:
    assert build_name(Path(file), "ab12") == name


def test_wishes_change_nothing_else() -> None:
    file = "{name: a, budget: {max_trials: 5, target: 1}, launch: {program: p, directory: /x}}"
    wishes = Wishes(name="b", directory="/srv", trials=2, parallelism=3)
    assert draft_wished(file, wishes, name=None, directory="/home").document == {
        "name": "b",
        "budget": {"max_trials": 2, "target": 1},
        "parallelism": 3,
        "launch": {"program": "p", "directory": "/srv"},
    }
    assert draft_wished(file, Wishes(), name=None, directory="/home").document == {
        "name": "a",
        "budget": {"max_trials": 5, "target": 1},
        "launch": {"program": "p", "directory": "/x"},
    }
