"""`asktell ask`, `report` and `tell`: trials from a shell script."""

import shlex
from typing import Annotated

import asktell
import typer
from asktell._protocol import LEFT_OUT

from service.cli.arguments import leave_out_none, parse_document, parse_number, parse_pairs
from service.cli.calls import Document, ask_for_trial, call, trial_path
from service.cli.clients import ServerDirOption, UrlOption, open_client
from service.cli.documents import JsonOption, print_json
from service.cli.failures import WrongUse, explain_failures, leave
from service.cli.formats import flatten, to_line

EXIT_FINISHED = 3
EXIT_NOT_NOW = 4

_LONGEST_WAIT_SECONDS = 60

# So that -0.5 is a value.
NEGATIVE_NUMBERS = {"ignore_unknown_options": True}

StudyArgument = Annotated[str, typer.Argument(help="The study.")]
NumberArgument = Annotated[int, typer.Argument(min=0, help="Number of the trial.")]
AttemptOption = Annotated[
    int | None,
    typer.Option(min=1, help="Which attempt this is, as `ask` says; refused if it was given up."),
]


def ask(
    study: StudyArgument,
    params: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="NAME=VALUE", help="A fixed parameter; repeat it."),
    ] = None,
    distributions: Annotated[
        str | None,
        typer.Option(metavar="JSON|FILE", help="The space, where the study declares none."),
    ] = None,
    lease_seconds: Annotated[
        float | None,
        typer.Option(min=1, help="Lost if not heard of for so long; by default as the study says."),
    ] = None,
    wait_seconds: Annotated[
        float,
        typer.Option(min=0, max=_LONGEST_WAIT_SECONDS, help="How long to wait for one."),
    ] = 0.0,
    *,
    as_arguments: Annotated[
        bool, typer.Option("--args", help="Print NUMBER ATTEMPT --NAME=VALUE…, quoted for a shell.")
    ] = False,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data_dir: ServerDirOption = None,
) -> None:
    """Start a trial and print its parameters; `report` and `tell` say how it goes.

    Exit with 3 when the study will have no more, with 4 when there is none for now, because it is
    paused or enough trials run.
    """
    with explain_failures(), open_client(url, data_dir) as client:
        wishes = {
            "params": parse_pairs(params, "--param") if params else None,
            "distributions": parse_document(distributions, "--distributions")
            if distributions
            else None,
            "lease_seconds": LEFT_OUT if lease_seconds is None else lease_seconds,
        }
        try:
            trial = ask_for_trial(client, study, wait_seconds=wait_seconds, **wishes)
        except asktell.ApiError as error:
            _leave_if_none(error)
            raise
    if as_json:
        print_json({"trials": [trial]})
    elif as_arguments:
        typer.echo(_join_arguments(trial))
    else:
        _print_asked(study, trial)


def report(
    study: StudyArgument,
    number: NumberArgument,
    step: Annotated[int, typer.Argument(min=0, help="Such as the epoch; rising.")],
    value: Annotated[str, typer.Argument(help="The objective's value at this step.")],
    attempt: AttemptOption = None,
    *,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data_dir: ServerDirOption = None,
) -> None:
    """Report a value of a running trial, and print `continue`, or `prune` if it is hopeless.

    A trial to prune is ended by its program, which then tells --state PRUNED.
    """
    with explain_failures(), open_client(url, data_dir) as client:
        point = {"step": step, "value": parse_number(value, "The value")}
        body = point | leave_out_none(attempt=attempt)
        answer = call(client, "POST", f"{trial_path(study, number)}/report", body=body)
    if as_json:
        print_json(answer)
    else:
        typer.echo("prune" if answer["should_prune"] else "continue")


def tell(
    study: StudyArgument,
    number: NumberArgument,
    values: Annotated[
        list[str] | None, typer.Argument(help="Its value, or one for each objective.")
    ] = None,
    state: Annotated[
        str | None, typer.Option(help="COMPLETE, as by default with values; PRUNED or FAIL.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why it failed, for people.")] = None,
    cause: Annotated[
        str | None, typer.Option(help="Of a FAIL: failed, or preempted, to be tried again.")
    ] = None,
    constraints: Annotated[
        list[str] | None,
        typer.Option(
            "--constraint", metavar="NAME=VALUE", help="Met if it is 0 or less; repeat it."
        ),
    ] = None,
    attrs: Annotated[
        list[str] | None,
        typer.Option("--attr", metavar="NAME=VALUE", help="Kept with the trial; repeat it."),
    ] = None,
    attempt: AttemptOption = None,
    *,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data_dir: ServerDirOption = None,
) -> None:
    """Tell how a trial has ended. Telling the same again changes nothing."""
    with explain_failures(), open_client(url, data_dir) as client:
        body = leave_out_none(
            state=_choose_state(state, bool(values)),
            values=[parse_number(value, "A value") for value in values or ()] or None,
            reason=reason,
            cause=cause,
            constraints=parse_pairs(constraints, "--constraint") if constraints else None,
            user_attrs=parse_pairs(attrs, "--attr") if attrs else None,
            attempt=attempt,
        )
        told = call(client, "POST", f"{trial_path(study, number)}/tell", body=body)
    if as_json:
        print_json(told)
    elif told["state"] == "RUNNING":
        typer.echo(f"Trial {number} of {study} is tried again.")
    else:
        typer.echo(f"Trial {number} of {study} is {told['state']}.")


def _leave_if_none(error: asktell.ApiError) -> None:
    codes = {
        "study-finished": EXIT_FINISHED,
        "study-paused": EXIT_NOT_NOW,
        "parallelism-reached": EXIT_NOT_NOW,
    }
    if error.code in codes:
        leave(error, codes[error.code])


def _join_arguments(trial: Document) -> str:
    # As programs that workers launch get them: Python's words, and all digits.
    params = (f"--{name}={value}" for name, value in flatten(trial["params"]))
    return shlex.join([str(trial["number"]), str(trial["attempt"]), *params])


def _print_asked(study: str, trial: Document) -> None:
    typer.echo(f"Trial {trial['number']} of {study}, attempt {trial['attempt']}")
    for name, value in flatten(trial["params"]):
        typer.echo(f"  {to_line(name)} = {to_line(str(value))}")
    if trial["lease_expires_at"] is not None:
        typer.echo(f"It is lost if nothing is heard of it until {trial['lease_expires_at']}.")


def _choose_state(state: str | None, has_values: bool) -> str:
    if state is not None:
        return state.upper()
    if not has_values:
        raise WrongUse("Tell its values, or --state PRUNED or FAIL.")
    return "COMPLETE"
