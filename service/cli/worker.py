"""`asktell worker`: launch the trials of sweeps on this machine."""

from pathlib import Path
from typing import Annotated

import typer
from asktell._settings import find_token_in
from asktell.workers import WorkerClient

from service.cli.failures import CannotStart, explain_failures
from service.cli.options import DataDirOption, load_settings, load_worker_settings


def worker(
    url: Annotated[str | None, typer.Option(help="The server; else ASKTELL_URL.")] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="File with a token of scope worker; else ASKTELL_TOKEN.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What people see.")] = None,
    queue: Annotated[str | None, typer.Option(help="Take trials of this queue.")] = None,
    slots: Annotated[int | None, typer.Option(help="Trials at a time.")] = None,
    executors: Annotated[
        str | None, typer.Option(help="Ways to launch trials, separated by commas.")
    ] = None,
    workdir: Annotated[
        Path | None, typer.Option(help="Folder for what runs, of this worker alone.")
    ] = None,
    allow_program: Annotated[
        list[str] | None,
        typer.Option(help="Pattern of programs that may run; repeat it for several."),
    ] = None,
    pass_env: Annotated[
        list[str] | None,
        typer.Option(help="Variable that programs get as well; repeat it for several."),
    ] = None,
    python: Annotated[str | None, typer.Option(help="What ${interpreter} is.")] = None,
    url_for_jobs: Annotated[
        str | None, typer.Option(help="The server, as programs in Flyte reach it.")
    ] = None,
    drain_seconds: Annotated[
        float | None, typer.Option(help="How long to wait for what runs when told to stop.")
    ] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Launch trials of sweeps as programs on this machine, until told to stop.

    SIGTERM or Ctrl-C lets what runs finish; a second one ends it, to be tried again elsewhere.
    Each option may also be set as ASKTELL_WORKER_…, such as ASKTELL_WORKER_SLOTS.
    """
    from service.cli.worker_process import run_worker

    with explain_failures():
        folder = load_settings(data_dir=data_dir).data_dir
        settings = load_worker_settings(
            name=name,
            queue=queue,
            slots=slots,
            executors=executors,
            workdir=workdir,
            allow_programs=tuple(allow_program) if allow_program else None,
            pass_env=tuple(pass_env) if pass_env else None,
            python=python,
            url_for_jobs=url_for_jobs,
            drain_seconds=drain_seconds,
        )
        token = None if token_file is None else _get_token(token_file)
        with WorkerClient(url, token) as client:
            run_worker(settings, client, workdir=settings.workdir or folder / "worker")


def _get_token(path: Path) -> str:
    token = find_token_in(path)
    if token is None:
        raise CannotStart(f"The token file {path} is not there, or has nothing in it.")
    return token
