"""What the demo shows: progress while it works, then the best trials."""

import shutil
import sys

import asktell

BAR_WIDTH = 12
PLAIN_INTERVAL_SECONDS = 5


class Progress:
    """One line that is rewritten in a terminal; elsewhere a new line every five seconds."""

    def __init__(self, *, total: int, started: float) -> None:
        self._total = total
        self._started = started
        self._shown: float | None = None
        self._is_terminal = sys.stdout.isatty()

    def show(self, summary: asktell.StudySummary, now: float) -> None:
        """Show the study as it is at `now`, in seconds on the clock that gave `started`."""
        line = self._describe(summary, now - self._started)
        if self._is_terminal:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{line[:width]:<{width}}", end="", flush=True)
        elif self._shown is None or now - self._shown >= PLAIN_INTERVAL_SECONDS:
            print(line, flush=True)
            self._shown = now

    def finish(self, summary: asktell.StudySummary, now: float) -> None:
        self._shown = None
        self.show(summary, now)
        if self._is_terminal:
            print()

    def _describe(self, summary: asktell.StudySummary, seconds: float) -> str:
        counts = summary.counts
        ended = counts.complete + counts.pruned + counts.fail
        filled = BAR_WIDTH * min(ended, self._total) // self._total
        best = f"best {summary.best.value:.2%}" if summary.best else "no result yet"
        return (
            f"[{'#' * filled}{'-' * (BAR_WIDTH - filled)}] {ended}/{self._total}  "
            f"{counts.complete} complete  {counts.pruned} pruned  {counts.running} running  "
            f"{best}  {seconds:.0f} s"
        )


def print_results(trials: list[asktell.FrozenTrial]) -> None:
    """The five best trials, and what pruning spared."""
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    best = sorted(complete, key=rank_first_best)[:5]
    rows = [describe_trial(rank, trial) for rank, trial in enumerate(best, start=1)]
    print("\nBest trials, by accuracy on the validation images:")
    print_columns(rows)
    print(f"\n{describe_savings(trials)}")


def rank_first_best(trial: asktell.FrozenTrial) -> tuple[float, int]:
    assert trial.value is not None
    return -trial.value, trial.number


def describe_trial(rank: int, trial: asktell.FrozenTrial) -> list[str]:
    params = [
        f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in sorted(trial.params.items())
    ]
    return [f"{rank}.", f"trial {trial.number}", f"{trial.value:.2%}", *params]


def print_columns(rows: list[list[str]]) -> None:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        print("  " + "  ".join(cells).rstrip())


def describe_savings(trials: list[asktell.FrozenTrial]) -> str:
    """How much less was trained than without a pruner; a complete trial shows the full length."""
    pruned = [trial for trial in trials if trial.state.name == "PRUNED"]
    full_length = max((len(trial.intermediate_values) for trial in trials), default=0)
    saved = sum(full_length - len(trial.intermediate_values) for trial in pruned)
    share = saved / max(1, full_length * len(trials))
    return (
        f"{len(pruned)} of {len(trials)} trials were pruned, "
        f"which saved {saved} of {full_length * len(trials)} epochs ({share:.0%})."
    )
