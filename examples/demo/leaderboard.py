"""The best trials of the demo's sweep, and how many were spared."""

import asktell

SHOWN = 5


def print_results(trials: list[asktell.FrozenTrial]) -> None:
    """The best trials, and how many were given up early."""
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    best = sorted(complete, key=rank_first_best)[:SHOWN]
    rows = [describe_trial(rank, trial) for rank, trial in enumerate(best, start=1)]
    print("\nBest trials, by accuracy on the validation images:")
    print_columns(rows)
    pruned = sum(trial.state.name == "PRUNED" for trial in trials)
    print(f"\n{pruned} of {len(trials)} trials were pruned.")


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
