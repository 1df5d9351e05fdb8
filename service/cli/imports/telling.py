"""What became of an import, for people and for programs."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import typer

from service.cli.documents import print_json
from service.cli.imports.found import Found, FoundTrial

_MOST_SHOWN = 20
_STATES = ("COMPLETE", "PRUNED", "FAIL")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an import ended.

    Attributes:
        imported: Trials that were stored, in their order.
        unfit: Why trials were not, by their names.
        is_refused: Nothing was stored, for that reason.
    """

    found: Found
    imported: Sequence[FoundTrial]
    unfit: Mapping[str, str]
    is_refused: bool = False


def tell(outcome: Outcome, *, as_json: bool) -> None:
    """Print a summary; what needs a look goes to standard error."""
    if as_json:
        print_json(_to_document(outcome))
        return
    typer.echo("\n".join(_describe(outcome)))
    for line in _list_remarks(outcome):
        typer.echo(line, err=True)


def _to_document(outcome: Outcome) -> dict[str, Any]:
    found = outcome.found
    return {
        "study": found.target.name,
        "source": found.source,
        "imported": {state.lower(): n for state, n in _count(outcome).items()},
        "already_there": found.n_known,
        "left_out": found.left_out,
        "unfit": [{"trial": name, "problem": text} for name, text in outcome.unfit.items()],
        "notes": found.notes,
    }


def _describe(outcome: Outcome) -> Iterator[str]:
    found = outcome.found
    counts = ", ".join(f"{n} {state}" for state, n in _count(outcome).items() if n)
    yield (
        f"Imported {len(outcome.imported)} trials of {found.source} into {found.target.name!r}"
        + (f": {counts}." if counts else ".")
    )
    if found.n_known:
        yield f"{found.n_known} were there already."
    if found.left_out:
        yield f"Left out: {', '.join(f'{n} {state}' for state, n in found.left_out.items())}."


def _list_remarks(outcome: Outcome) -> Iterator[str]:
    yield from (f"note: {note}" for note in outcome.found.notes)
    shown = list(outcome.unfit.items())[:_MOST_SHOWN]
    yield from (f"unfit: {name}: {problem}" for name, problem in shown)
    if len(outcome.unfit) > len(shown):
        yield f"unfit: {len(outcome.unfit) - len(shown)} more, which --json shows"
    if outcome.is_refused:
        yield (
            f"asktell: {len(outcome.unfit)} trials do not fit, so none was imported; --skip-unfit "
            "imports the others."
        )


def _count(outcome: Outcome) -> dict[str, int]:
    counts = Counter(trial.document["state"] for trial in outcome.imported)
    return {state: counts[state] for state in _STATES}
