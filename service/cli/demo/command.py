"""`asktell demo`: run the sweep of examples/digits through service, worker and command line."""

import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Annotated

import asktell
import typer

from service.cli.calls import call, study_path
from service.cli.demo.service_process import ASKTELL, DemoInterrupted, Service, open_service
from service.cli.failures import CannotStart, explain_failures
from service.cli.options import DataDirOption, load_settings
from service.cli.study.tables import print_trials
from service.cli.study.trial_list import list_shown_trials

EXIT_INTERRUPTED = 130

_BEST_SHOWN = 5
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def demo(
    trials: Annotated[
        int | None, typer.Option(min=1, help="How many; as many as the sweep file has by default.")
    ] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Train a digit classifier in a sweep, with pruning, and show the best trials.

    It uses the service that runs on the data directory, or starts one with a Postgres of its own
    for as long as it takes. What it has found stays there, for `asktell serve` to show.
    """
    stop = _stop_on_signals()
    try:
        with explain_failures():
            _check_packages()
            sweep_file = find_sweep_file()
            folder = load_settings(data_dir=data_dir).data_dir
            with open_service(folder, stop) as service:
                _show_sweep(service, sweep_file, trials, stop)
    except DemoInterrupted:
        typer.echo("\nStopped.", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    _print_way_in(folder, sweep_file)


def find_sweep_file() -> Path:
    """The example that travels with the package, or the one of a checkout.

    Raises:
        CannotStart: There is neither.
    """
    package = Path(__file__).parents[2]
    for folder in (package / "_demo", package.parent / "examples" / "digits"):
        if (file := folder / "sweep.yaml").exists():
            return file
    raise CannotStart("This installation lacks its demo; install asktell-server again.")


def _check_packages() -> None:
    if find_spec("sklearn") is None:
        raise CannotStart(
            "The demo trains with scikit-learn, which is not installed here: "
            "pip install 'asktell-server[demo]'."
        )


def _stop_on_signals() -> threading.Event:
    """An event that Ctrl-C and the like set, so that everything started can be stopped in order."""
    stop = threading.Event()

    def request_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in _STOP_SIGNALS:
        signal.signal(number, request_stop)
    return stop


def _show_sweep(
    service: Service, sweep_file: Path, n_trials: int | None, stop: threading.Event
) -> None:
    with asktell.Client(service.address, service.token, deadline=10) as client:
        name = _find_free_name(client)
        link = call(client, "POST", "/login-links")["url"]
        typer.echo(f"Watch it in a browser: {link}\n")
        _run_sweep(service, sweep_file, name, n_trials, stop)
        _print_results(client, name)


def _find_free_name(client: asktell.Client) -> str:
    """`digits`, or `digits-2` and so on when there are some already."""
    taken = {summary.name for summary in client.list_studies(name_contains="digits")}
    number = 1
    while (name := "digits" if number == 1 else f"digits-{number}") in taken:
        number += 1
    return name


def _run_sweep(
    service: Service, sweep_file: Path, name: str, n_trials: int | None, stop: threading.Event
) -> None:
    """Runs `asktell sweep run` in the foreground.

    Raises:
        DemoInterrupted: Somebody stopped the demo, or detached from the sweep.
        CannotStart: It came to no result.
    """
    limit = [] if n_trials is None else ["--trials", str(n_trials)]
    options = ["--name", name, "--data-dir", str(service.data_dir), *limit]
    arguments = [*ASKTELL, "sweep", "run", str(sweep_file), *options]
    with _ctrl_c_left_to_command(), subprocess.Popen(arguments) as command:  # noqa: S603 (ours)
        code = _wait_for(command, stop)
    if code == EXIT_INTERRUPTED:
        raise DemoInterrupted
    if code:
        raise CannotStart(f"The sweep came to no result (exit code {code}).")


@contextmanager
def _ctrl_c_left_to_command() -> Iterator[None]:
    """In a terminal Ctrl-C reaches the command as well, which asks what to do."""
    if not sys.stdin.isatty():
        yield
        return
    handler = signal.signal(signal.SIGINT, lambda _signal, _frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _wait_for(command: subprocess.Popen[bytes], stop: threading.Event) -> int:
    while (code := command.poll()) is None:
        if stop.wait(0.1):
            command.terminate()
            command.wait()
            raise DemoInterrupted
    return code


def _print_results(client: asktell.Client, name: str) -> None:
    """The best trials, and how many were given up early."""
    study = call(client, "GET", study_path(name))
    best = list_shown_trials(client, study, {"order": "best"}, _BEST_SHOWN)
    typer.echo("\nBest trials, by accuracy on the validation images:\n")
    print_trials(study, best)
    counts = study["counts"]
    typer.echo(f"\n{counts['pruned']} of {counts['total']} trials were pruned.")


def _print_way_in(data_dir: Path, sweep_file: Path) -> None:
    option = f"--data-dir {shlex.quote(str(data_dir))}"
    command = shlex.quote(_name_command())
    typer.echo(f"\nEverything is kept in {data_dir}. To look at it: {command} serve {option}")
    typer.echo("(it serves on http://127.0.0.1:8700 and prints a link that lets a browser in)")
    typer.echo(f"What was run is {sweep_file} and train.py beside it.")


def _name_command() -> str:
    """What a person types to call the command that is running."""
    called = Path(sys.argv[0])
    found = shutil.which(called.name)
    is_on_path = found is not None and Path(found).samefile(called)
    return called.name if is_on_path else "asktell" if called.suffix else str(called)
