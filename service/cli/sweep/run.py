"""`asktell sweep run`: create a sweep from a file, and watch it to its end."""

import secrets
import string
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import asktell
import typer
from rich.console import Console

from service.cli.clients import ServerDirOption, UrlOption, open_client
from service.cli.documents import JsonOption, print_json
from service.cli.failures import EXIT_WRONG_USE, explain_failures
from service.cli.formats import describe_params
from service.cli.sweep.check import compare_outside, preview_file, read_text, show_errors
from service.cli.sweep.descriptions import describe_best, describe_counts
from service.cli.sweep.live import LineView, SilentView, TerminalView, View
from service.cli.sweep.snapshots import Snapshot, Snapshots
from service.cli.sweep.watch import Choice, Watch
from service.cli.sweep.wishes import (
    EntityOption,
    ExecutorOption,
    ModeOption,
    ProjectOption,
    Wishes,
    draft_wished,
)
from service.domain.errors import FieldError, InvalidSweepFile

EXIT_NOT_FINISHED = 1
EXIT_DETACHED = 130

# A look that fails is no matter: the next one comes in a second.
_IMPATIENT: dict[str, Any] = {"timeout": 10.0, "max_retries": 0}
_SUFFIX_LENGTH = 4
# Says nothing that the name of its folder would not say better.
_PLAIN_STEM = "sweep"


def run(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="A sweep file, W&B's or our own.")
    ],
    name: Annotated[str | None, typer.Option(help="Name of the sweep.")] = None,
    directory: Annotated[
        Path | None,
        typer.Option(help="Where programs run; else what the file says, or the file's folder."),
    ] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="How many trials to start.")] = None,
    parallelism: Annotated[
        int | None, typer.Option(min=1, help="How many may run at a time.")
    ] = None,
    executor: ExecutorOption = None,
    project: ProjectOption = None,
    entity: EntityOption = None,
    mode: ModeOption = None,
    *,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for the end.")] = False,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data_dir: ServerDirOption = None,
) -> None:
    """Create a sweep from FILE; workers launch its trials. Show how it goes until it is over.

    Exit with 0 when it has finished with a completed trial, 1 when it has failed or was cancelled
    or has none, 2 when FILE or an option is wrong, 130 when Ctrl-C detached from it: the sweep
    itself goes on.
    """
    wishes = Wishes(
        name=name,
        directory=None if directory is None else _resolve(directory),
        trials=trials,
        parallelism=parallelism,
        executor=executor,
        project=project,
        entity=entity,
        mode=mode,
    )
    with explain_failures(), open_client(url, data_dir) as client:
        sweep = _create(client, file, wishes)
        if detach:
            _tell_detached(sweep, as_json=as_json)
            return
        if not as_json:
            _announce(sweep, client.url)
        with open_client(url, data_dir, **_IMPATIENT) as looking_client:
            snapshot = _watch(Snapshots(looking_client, sweep.name), sweep, is_silent=as_json)
        _conclude(snapshot, sweep, as_json=as_json)


def build_name(file: Path, suffix: str) -> str:
    """A name for the sweep of a file that names none."""
    file = file.resolve()
    stem = (file.parent.name if file.stem == _PLAIN_STEM else "") or file.stem
    return f"{stem}-{suffix}"


def _create(client: asktell.Client, file: Path, wishes: Wishes) -> asktell.Sweep:
    name = build_name(file, _draw_suffix())
    directory = str(file.resolve().parent)
    try:
        text = read_text(file)
        if "flyte" in text:
            _compare_outside(file, wishes)
        # The server opens no file, so that those which this one names are read here.
        if wishes == Wishes() and "source" not in text:
            return client.create_sweep_file(text, directory, name)
        return _create_otherwise(client, text, wishes, name=name, directory=directory)
    except (InvalidSweepFile, asktell.InvalidError) as error:
        _explain(error, file, wishes)
        raise typer.Exit(EXIT_WRONG_USE) from error


def _compare_outside(file: Path, wishes: Wishes) -> None:
    """Finds out now what the first worker would, where that can be done from here."""
    read = draft_wished(read_text(file), wishes, name=None, directory=str(file.resolve().parent))
    if read.executor == "flyte" and (note := compare_outside(*preview_file(file, wishes))):
        typer.echo(f"note: {note}", err=True)


def _create_otherwise(
    client: asktell.Client, text: str, wishes: Wishes, *, name: str, directory: str
) -> asktell.Sweep:
    read = draft_wished(text, wishes, name=name, directory=directory)
    read.problems.check()
    sweep = client.create_sweep(read.document)
    sweep.notes = (*read.notes, *sweep.notes)
    return sweep


def _explain(error: Exception, file: Path, wishes: Wishes) -> None:
    """Says all that is wrong, of which the server has told some, not knowing the options."""
    known = error.errors if isinstance(error, InvalidSweepFile) else ()
    if errors := _list_errors(file, wishes) or known:
        show_errors(file, errors)
    else:
        typer.echo(f"asktell: {error}", err=True)


def _list_errors(file: Path, wishes: Wishes) -> Sequence[FieldError]:
    try:
        preview_file(file, wishes)
    except InvalidSweepFile as error:
        return error.errors
    return ()


def _resolve(directory: Path) -> str:
    return str(directory.expanduser().resolve())


def _draw_suffix() -> str:
    alphabet = string.ascii_lowercase + string.digits
    return "".join(secrets.choice(alphabet) for _ in range(_SUFFIX_LENGTH))


def _tell_detached(sweep: asktell.Sweep, *, as_json: bool) -> None:
    if as_json:
        print_json({"sweep": sweep.name, "id": sweep.id, "notes": sweep.notes})
        return
    _tell_notes(sweep)
    typer.echo(f"Sweep {sweep.name} runs; `asktell sweep show {sweep.name}` shows how it goes.")


def _announce(sweep: asktell.Sweep, url: str) -> None:
    _tell_notes(sweep)
    typer.echo(f"Sweep {sweep.name}, to be watched at {url}/ as well.")


def _tell_notes(sweep: asktell.Sweep) -> None:
    for note in sweep.notes:
        typer.echo(f"note: {note}")


def _watch(snapshots: Snapshots, sweep: asktell.Sweep, *, is_silent: bool) -> Snapshot | None:
    console = Console()
    watch = Watch(
        snapshots.take,
        sweep,
        SilentView() if is_silent else _open_view(console),
        wait=time.sleep,
        choose=_ask_what_to_do if sys.stdin.isatty() and console.is_terminal else _detach,
    )
    return watch.run()


def _open_view(console: Console) -> View:
    return TerminalView(console, time.monotonic) if console.is_terminal else LineView(typer.echo)


def _detach() -> Choice:
    return Choice.DETACH


def _ask_what_to_do() -> Choice:
    """Asks until the answer is one; may raise KeyboardInterrupt."""
    while True:
        typer.echo("\n[d]etach and let it run, [s]top after the running trials, [c]ancel them too,")
        try:
            answer = input("or go on [w]atching? ").strip().lower()
        except EOFError:
            return Choice.DETACH
        for choice in Choice:
            if answer and choice.value.startswith(answer):
                return choice


def _conclude(snapshot: Snapshot | None, sweep: asktell.Sweep, *, as_json: bool) -> None:
    if snapshot is None:
        _conclude_detached(sweep, as_json=as_json)
        raise typer.Exit(EXIT_DETACHED)
    if as_json:
        ended = {"sweep": snapshot.summary, "best": snapshot.best, "failure": snapshot.failure}
        print_json({**ended, "notes": sweep.notes})
    else:
        typer.echo(_describe_end(snapshot))
    if not snapshot.has_succeeded:
        raise typer.Exit(EXIT_NOT_FINISHED)


def _conclude_detached(sweep: asktell.Sweep, *, as_json: bool) -> None:
    if as_json:
        print_json({"sweep": sweep.summary(), "best": None, "failure": None, "notes": sweep.notes})
    else:
        typer.echo(f"The sweep goes on; `asktell sweep show {sweep.name}` shows how.", err=True)


def _describe_end(snapshot: Snapshot) -> str:
    summary = snapshot.summary
    why = f" ({summary.study.stop_reason})" if summary.study.stop_reason else ""
    lines = [f"Sweep {summary.name} is {summary.state}{why}: {describe_counts(snapshot)}."]
    if snapshot.best is not None:
        lines += [f"{describe_best(snapshot)}", f"  {describe_params(snapshot.best.params)}"]
    return "\n".join(lines)
