"""`asktell sweep`: what `wandb sweep` and `wandb agent` do, against a server."""

from datetime import UTC, datetime
from itertools import islice
from typing import Annotated

import asktell
import typer

from service.cli.arguments import leave_out_none
from service.cli.calls import get_sweep
from service.cli.clients import ServerDirOption, UrlOption, open_client
from service.cli.documents import JsonOption, print_json
from service.cli.failures import WrongUse, explain_failures
from service.cli.study.export import export
from service.cli.sweep.check import check
from service.cli.sweep.logs import logs
from service.cli.sweep.run import run
from service.cli.sweep.snapshots import BAD_ENDS, Snapshots, list_failures
from service.cli.sweep.tables import print_sweep, print_sweeps

app = typer.Typer(
    help="Run sweeps: studies whose trials workers launch. Needs a running server.",
    no_args_is_help=True,
)
app.command()(run)
app.command()(check)
app.command()(logs)
app.command()(export)

_ATTEMPTS_SHOWN = 20
_FAILURES_SHOWN = 3
_FAILED = (*BAD_ENDS, "cancelled")

NameArgument = Annotated[str, typer.Argument(help="The sweep.")]


@app.command("ls")
def list_sweeps(
    state: Annotated[str | None, typer.Option(help="Only those in this state.")] = None,
    contains: Annotated[
        str | None, typer.Option("--name", help="Only those with this in their name.")
    ] = None,
    *,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data_dir: ServerDirOption = None,
) -> None:
    """List sweeps by name."""
    with explain_failures(), open_client(url, data_dir) as client:
        sweeps = list(client.list_sweeps(state=state, name_contains=contains))
    if as_json:
        print_json({"sweeps": sweeps})
    else:
        print_sweeps(sweeps, datetime.now(UTC))


@app.command()
def show(
    name: NameArgument,
    *,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data_dir: ServerDirOption = None,
) -> None:
    """Show a sweep: its trials in numbers, the best one, the newest attempts, the last failures."""
    with explain_failures(), open_client(url, data_dir) as client:
        snapshot = Snapshots(client, name).take()
        sweep = get_sweep(client, name)
        attempts = list(islice(sweep.attempts(page_size=_ATTEMPTS_SHOWN), _ATTEMPTS_SHOWN))
        n_failed = snapshot.summary.study.counts.fail
        failures = list_failures(sweep, _FAILED, n_failed=n_failed, limit=_FAILURES_SHOWN)
    if as_json:
        shown = {"attempts": attempts, "failures": failures}
        print_json({"sweep": snapshot.summary, "best": snapshot.best, **shown})
    else:
        print_sweep(snapshot, attempts, failures, datetime.now(UTC))


@app.command()
def pause(
    name: NameArgument,
    *,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data_dir: ServerDirOption = None,
) -> None:
    """Start no trials until `resume`; those that run go on."""
    with explain_failures(), open_client(url, data_dir) as client:
        _tell_state(get_sweep(client, name).pause(), as_json=as_json)


@app.command()
def resume(
    name: NameArgument,
    *,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data_dir: ServerDirOption = None,
) -> None:
    """Start trials again after `pause` or `stop`."""
    with explain_failures(), open_client(url, data_dir) as client:
        _tell_state(get_sweep(client, name).resume(), as_json=as_json)


@app.command()
def stop(
    name: NameArgument,
    *,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data_dir: ServerDirOption = None,
) -> None:
    """Start no trials any more; those that run are the last ones."""
    with explain_failures(), open_client(url, data_dir) as client:
        _tell_state(get_sweep(client, name).stop(), as_json=as_json)


@app.command()
def cancel(
    name: NameArgument,
    *,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data_dir: ServerDirOption = None,
) -> None:
    """Start no trials any more, and end those that run."""
    with explain_failures(), open_client(url, data_dir) as client:
        _tell_state(get_sweep(client, name).cancel(), as_json=as_json)


@app.command("set")
def set_limits(
    name: NameArgument,
    trials: Annotated[int | None, typer.Option(help="Trials in all.")] = None,
    parallelism: Annotated[int | None, typer.Option(help="Trials at a time.")] = None,
    max_failures: Annotated[
        int | None, typer.Option(help="Failed trials in a row that end the sweep.")
    ] = None,
    *,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data_dir: ServerDirOption = None,
) -> None:
    """Change the limits of a sweep; one that had come to a limit goes on if there is room again."""
    budget = leave_out_none(max_trials=trials, max_failures=max_failures)
    changes = leave_out_none(budget=budget or None, parallelism=parallelism)
    with explain_failures(), open_client(url, data_dir) as client:
        if not changes:
            raise WrongUse("Say what to change: --trials, --parallelism or --max-failures.")
        get_sweep(client, name).study.configure(**changes)
        _tell_state(get_sweep(client, name).summary(), as_json=as_json)


def _tell_state(summary: asktell.SweepSummary, *, as_json: bool) -> None:
    if as_json:
        print_json({"sweep": summary})
    else:
        typer.echo(f"Sweep {summary.name} is {summary.state}.")
