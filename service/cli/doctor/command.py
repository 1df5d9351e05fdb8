"""`asktell doctor`: what is right, doubtful and wrong here, and what to do about it."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from service.cli.clients import ServerDirOption, UrlOption
from service.cli.doctor import data, machine
from service.cli.doctor.findings import Finding, Verdict, find_worst, wrong
from service.cli.doctor.server import check_server
from service.cli.documents import JsonOption, print_json
from service.cli.failures import CannotStart, explain_failures
from service.cli.options import load_settings, load_worker_settings
from service.cli.tables import print_table

if TYPE_CHECKING:
    from service.settings import Settings

_SIGNS = {Verdict.RIGHT: "✓", Verdict.DOUBTFUL: "?", Verdict.WRONG: "✗"}


def doctor(
    *, as_json: JsonOption = False, url: UrlOption = None, data_dir: ServerDirOption = None
) -> None:
    """Say what is right, doubtful and wrong on this machine, and what to do about it.

    It needs no server, changes nothing and shows no secret. Exit with 1 if something is wrong.
    """
    with explain_failures():
        findings = list(examine(url, data_dir))
    worst = find_worst(findings)
    if as_json:
        shown = [{**_to_document(each), "verdict": each.verdict.value} for each in findings]
        print_json({"verdict": worst.value, "findings": shown})
    else:
        _print_findings(findings)
    if worst is Verdict.WRONG:
        raise typer.Exit(1)


def examine(url: str | None, data_dir: Path | None) -> Iterator[Finding]:
    """Look at everything, what is nearest first."""
    yield machine.check_python()
    try:
        settings = load_settings(data_dir=data_dir)
    except CannotStart as error:
        yield wrong("settings", str(error))
    else:
        yield from _examine_own(settings)
        yield from _examine_worker()
    yield from check_server(url, data_dir)
    yield machine.check_torch()
    yield machine.check_wandb(os.environ)
    yield machine.check_flytekit()


def _examine_own(settings: "Settings") -> Iterator[Finding]:
    yield data.check_data_dir(settings.data_dir)
    yield machine.check_disk(settings.data_dir)
    yield data.check_binaries(settings)
    yield data.check_database(settings)
    yield machine.check_sandbox(settings)


def _examine_worker() -> Iterator[Finding]:
    try:
        load_worker_settings()
    except CannotStart as error:
        yield wrong("worker settings", str(error))


def _to_document(finding: Finding) -> dict[str, str | None]:
    return {
        "subject": finding.subject,
        "message": finding.message,
        "advice": finding.advice,
    }


def _print_findings(findings: list[Finding]) -> None:
    rows = [
        (_SIGNS[each.verdict], each.subject, each.message, each.advice or "") for each in findings
    ]
    print_table(("", "what", "how it is", "what to do"), rows)
    counts = {verdict: sum(each.verdict is verdict for each in findings) for verdict in Verdict}
    typer.echo(", ".join(f"{count} {verdict.value}" for verdict, count in counts.items()))
