"""`asktell worker`: launch the trials of sweeps on this machine."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import asktell
import httpx
import typer
from asktell._settings import find_token_in
from asktell.workers import WorkerClient

from service.cli.clients import explain_left_address, find_server
from service.cli.failures import WrongUse, explain_failures
from service.cli.options import DataDirOption, load_settings, load_worker_settings

_PROBE_SECONDS = 2.0


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
        environ = _choose_environ(data_dir)
        address, token = find_server(url, environ, token=token)
        left = explain_left_address(url, environ)
        if left is not None and not _is_listened_at(address):
            typer.echo(f"asktell: {left} The worker waits for one at that address.", err=True)
        with WorkerClient(address, token) as client:
            run_worker(settings, client, workdir=settings.workdir or folder / "worker")


def _choose_environ(data_dir: Path | None) -> Mapping[str, str]:
    # Workers elsewhere have a data directory, too, and are told where the server is.
    named = {} if data_dir is None else {"ASKTELL_DATA_DIR": str(data_dir)}
    return {**os.environ, **named}


def _is_listened_at(address: str) -> bool:
    place = httpx.URL(address)
    try:
        socket.create_connection((place.host, place.port or 80), timeout=_PROBE_SECONDS).close()
    except OSError:
        return False
    return True


def _get_token(path: Path) -> str:
    try:
        token = find_token_in(path)
    except asktell.ConfigurationError as error:
        raise WrongUse(str(error)) from error
    if token is None:
        raise WrongUse(f"The token file {path} is not there, or has nothing in it.")
    return token
