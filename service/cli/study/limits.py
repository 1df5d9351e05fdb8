"""`asktell study set`: limits of a study that goes on."""

from typing import Annotated

import typer

from service.cli.arguments import leave_out_none
from service.cli.calls import call, study_path
from service.cli.clients import ServerDirOption, UrlOption, open_client
from service.cli.documents import JsonOption, print_json
from service.cli.failures import WrongUse, explain_failures


def set_limits(
    name: Annotated[str, typer.Argument(help="The study.")],
    max_trials: Annotated[
        int | None, typer.Option("--trials", min=1, help="How many trials to start in all.")
    ] = None,
    parallelism: Annotated[int | None, typer.Option(min=1, help="Trials at a time.")] = None,
    max_failures: Annotated[
        int | None, typer.Option(min=1, help="Failed trials in a row that end the study.")
    ] = None,
    lease_seconds: Annotated[
        float | None, typer.Option(min=1, help="A trial that is not heard of for so long is lost.")
    ] = None,
    *,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data_dir: ServerDirOption = None,
) -> None:
    """Change the limits of a study; one that had come to a limit goes on if there is room again."""
    budget = leave_out_none(max_trials=max_trials, max_failures=max_failures)
    changes = leave_out_none(
        budget=budget or None, parallelism=parallelism, lease_seconds=lease_seconds
    )
    with explain_failures():
        if not changes:
            raise WrongUse(
                "Say what to change: --trials, --parallelism, --max-failures or --lease-seconds."
            )
        with open_client(url, data_dir) as client:
            study = call(client, "PATCH", study_path(name), body=changes)
    if as_json:
        print_json(study)
    else:
        typer.echo(f"Study {study['name']} is {study['state']}.")
