"""`asktell sweep logs`: what a program has written, now or as it writes it."""

import sys
import time
from collections.abc import Callable, Iterator
from typing import Annotated

import asktell
import typer

from service.cli.calls import get_sweep
from service.cli.clients import ServerDirOption, UrlOption, open_client
from service.cli.documents import JsonOption, print_json
from service.cli.failures import CannotStart, explain_failures
from service.cli.formats import to_line
from service.cli.sweep.descriptions import describe_outside

_FOLLOW_SECONDS = 1.0
_INTERRUPTED = 130


def logs(
    name: Annotated[str, typer.Argument(help="The sweep.")],
    which: Annotated[
        str | None,
        typer.Argument(
            metavar="[TRIAL|ATTEMPT_ID]",
            help="A trial's number, for its newest attempt, or an attempt's id; else the newest.",
        ),
    ] = None,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more.")] = False,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data_dir: ServerDirOption = None,
) -> None:
    """Print what the program of an attempt has written, as far as the server keeps it."""
    with explain_failures(), open_client(url, data_dir) as client:
        sweep = get_sweep(client, name)
        attempt = find_attempt(sweep, which)
        if as_json:
            print_json({"attempt": attempt, "text": "".join(read_log(sweep, attempt.id))})
            return
        for line in describe_outside(attempt):
            # What the program wrote goes on alone to whoever reads it.
            typer.echo(line, err=True)
        parts = follow_log(sweep, attempt.id, time.sleep) if follow else read_log(sweep, attempt.id)
        _write_all(parts)


def find_attempt(sweep: asktell.Sweep, which: str | None) -> asktell.Attempt:
    """The attempt that a person means.

    Raises:
        CannotStart: There is none.
    """
    if which is not None and not which.isdecimal():
        return sweep.get_attempt(which)
    trial = None if which is None else int(which)
    attempt = next(sweep.attempts(trial=trial, page_size=1), None)
    if attempt is None:
        raise CannotStart(_explain_no_attempt(sweep, trial))
    return attempt


def _explain_no_attempt(sweep: asktell.Sweep, number: int | None) -> str:
    advice = "`asktell sweep show` lists them."
    if number is None:
        return f"Sweep {sweep.name} has had no attempt yet; {advice}"
    trial = sweep.study.get_trial(number)
    if trial.state.name != "FAIL":
        return f"Trial {number} of {sweep.name} has had no attempt yet; {advice}"
    why = to_line(trial.reason or "nobody said why")
    return f"Trial {number} of {sweep.name} failed before a worker had it: {why}"


def read_log(sweep: asktell.Sweep, attempt_id: str, offset: int = 0) -> Iterator[str]:
    """All that there is from that offset on."""
    return (part.text for part in _read_parts(sweep, attempt_id, offset))


def follow_log(
    sweep: asktell.Sweep, attempt_id: str, wait: Callable[[float], None]
) -> Iterator[str]:
    """What there is, and what comes until the attempt has ended."""
    offset = 0
    is_over = False
    while not is_over:
        # Asked before the log: what an attempt wrote is there when it is over.
        is_over = sweep.get_attempt(attempt_id).is_over
        for part in _read_parts(sweep, attempt_id, offset):
            yield part.text
            offset = part.end
        if not is_over:
            wait(_FOLLOW_SECONDS)


def _read_parts(sweep: asktell.Sweep, attempt_id: str, offset: int) -> Iterator[asktell.AttemptLog]:
    while (part := sweep.log(attempt_id, offset)).end > offset:
        yield part
        offset = part.end


def _write_all(parts: Iterator[str]) -> None:
    try:
        for text in parts:
            sys.stdout.write(text)
            sys.stdout.flush()
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None
