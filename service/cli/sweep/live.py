"""The live view of a sweep: redrawn in a terminal, one line per change elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from service.cli.formats import describe_params, format_duration, to_line
from service.cli.sweep.descriptions import (
    describe_best,
    describe_counts,
    describe_failure,
    describe_mirror,
    describe_outside,
)
from service.cli.sweep.snapshots import Snapshot

_BAR_WIDTH = 40
# Told apart by their shapes, too: colours do not reach everybody.
_SHAPES = {
    "complete": ("█", "green"),
    "pruned": ("▓", "yellow"),
    "fail": ("×", "red"),
    "running": ("▒", "cyan"),
}


class View(Protocol):
    """Shows a sweep to somebody; called by one thread."""

    def show(self, snapshot: Snapshot) -> None:
        """Shows it as it is now."""
        ...

    def say(self, message: str) -> None:
        """Shows a sentence that stays."""
        ...

    def close(self) -> None:
        """Leaves what was shown last; the next `show` begins below it."""
        ...


class SilentView:
    """Shows nothing: what is printed is for a program."""

    def show(self, snapshot: Snapshot) -> None:
        """Does nothing."""

    def say(self, message: str) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


class LineView:
    """A line for each change, for logs and pipes."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._shown: set[str] = set()
        self._last: str | None = None

    def show(self, snapshot: Snapshot) -> None:
        """Writes what has changed since the last time."""
        line = "; ".join(filter(None, [describe_counts(snapshot), describe_best(snapshot)]))
        if line != self._last:
            self._write(line)
            self._last = line
        if mirror := describe_mirror(snapshot.summary.mirror):
            self._say_once(mirror)
        if snapshot.newest is not None:
            for line in describe_outside(snapshot.newest):
                self._say_once(line)
        if snapshot.failure is not None:
            self._say_once(describe_failure(snapshot.failure))
        if snapshot.hint is not None:
            self._say_once(snapshot.hint)

    def say(self, message: str) -> None:
        """Writes the sentence."""
        self._write(message)

    def close(self) -> None:
        """Does nothing: every line stays as it is."""

    def _say_once(self, message: str) -> None:
        if message not in self._shown:
            self._shown.add(message)
            self._write(message)


class TerminalView:
    """A few lines that are redrawn at every look.

    Args:
        console: A terminal.
        clock: Seconds that never go back.
    """

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console = console
        self._pace = _Pace(clock)
        self._live: Live | None = None

    def show(self, snapshot: Snapshot) -> None:
        """Draws it in place of what was there."""
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        self._live.update(Group(*self._draw(snapshot)), refresh=True)

    def say(self, message: str) -> None:
        """Writes the sentence above what is redrawn."""
        self._console.print(message, markup=False, highlight=False)

    def close(self) -> None:
        """Stops redrawing."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def _draw(self, snapshot: Snapshot) -> Iterator[Text]:
        yield Text(f"{to_line(snapshot.summary.name)}: {snapshot.summary.state}", style="bold")
        yield Text.assemble(_draw_bar(snapshot), "  ", describe_counts(snapshot))
        if best := describe_best(snapshot):
            yield Text(best, style="green")
            if snapshot.best is not None:
                yield Text(f"  {describe_params(snapshot.best.params)}", style="dim")
        if (seconds := self._pace.estimate(snapshot)) is not None:
            yield Text(f"about {format_duration(seconds)} to go", style="dim")
        if mirror := describe_mirror(snapshot.summary.mirror):
            yield Text(mirror, style="dim")
        if snapshot.newest is not None:
            yield from (Text(line, style="dim") for line in describe_outside(snapshot.newest))
        if snapshot.failure is not None:
            yield Text(describe_failure(snapshot.failure), style="red")
        if snapshot.hint is not None:
            yield Text(snapshot.hint, style="yellow")


class _Pace:
    """How fast trials have ended since the first look."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._first: tuple[float, int] | None = None

    def estimate(self, snapshot: Snapshot) -> float | None:
        """Seconds until the budget is spent; None as long as nobody can tell."""
        now = self._clock()
        if self._first is None:
            self._first = (now, snapshot.ended)
        first_at, first_ended = self._first
        maximum = snapshot.summary.study.max_trials
        new = snapshot.ended - first_ended
        if maximum is None or new == 0 or snapshot.summary.state != "active":
            return None
        return (maximum - snapshot.ended) * (now - first_at) / new


def _draw_bar(snapshot: Snapshot) -> Text:
    counts = snapshot.summary.study.counts
    total = max(1, snapshot.summary.study.max_trials or counts.total)
    bar = Text()
    drawn = reached = 0
    for state, (shape, style) in _SHAPES.items():
        reached += getattr(counts, state)
        # Ends are rounded, not lengths: the bar is as long as the sum of its parts says.
        end = min(_BAR_WIDTH, round(_BAR_WIDTH * reached / total))
        bar.append(shape * (end - drawn), style)
        drawn = max(drawn, end)
    return bar.append("·" * (_BAR_WIDTH - drawn), "dim")


@contextmanager
def shown(view: View) -> Iterator[View]:
    """A view that is closed at the end, whatever comes."""
    try:
        yield view
    finally:
        view.close()
