"""`asktell study import`: trials that ended elsewhere, for a study to go on from."""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.clients import ServerDirOption, UrlOption, open_client
from service.cli.documents import JsonOption
from service.cli.failures import WrongUse, explain_failures

if TYPE_CHECKING:
    from service.cli.imports.importing import Read

_STATES = "complete,pruned,fail"
_OF_OPTUNA = "Optuna"
_OF_WANDB = "Weights & Biases"


class Goal(StrEnum):
    """Which way a metric improves."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


class RunValue(StrEnum):
    """Which value of a metric is a run's."""

    SUMMARY = "summary"
    LAST = "last"
    BEST = "best"


def import_trials(
    name: Annotated[str, typer.Argument(help="The study; it is created if there is none.")],
    from_optuna: Annotated[
        str | None,
        typer.Option(
            help="A storage of Optuna: its URL, or the path of a journal.",
            metavar="URL",
            rich_help_panel=_OF_OPTUNA,
        ),
    ] = None,
    source_study: Annotated[
        str | None,
        typer.Option(help="The study in it, if there are several.", rich_help_panel=_OF_OPTUNA),
    ] = None,
    states: Annotated[
        str | None,
        typer.Option(
            help=f"Which trials, by the states they ended in; {_STATES} by default.",
            rich_help_panel=_OF_OPTUNA,
        ),
    ] = None,
    from_wandb: Annotated[
        str | None,
        typer.Option(
            help="A project of W&B, or a sweep in it.",
            metavar="ENTITY/PROJECT[/SWEEP]",
            rich_help_panel=_OF_WANDB,
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="What the runs are judged by, once for each objective; the sweep's by default.",
            rich_help_panel=_OF_WANDB,
        ),
    ] = None,
    goal: Annotated[
        list[Goal] | None,
        typer.Option(
            help="Of each metric; by default the study's, or the sweep's, or minimize.",
            rich_help_panel=_OF_WANDB,
        ),
    ] = None,
    value: Annotated[
        RunValue | None,
        typer.Option(
            help="Which value of a metric counts: that of the run's summary, as by default, or the "
            "last or the best one that was logged.",
            rich_help_panel=_OF_WANDB,
        ),
    ] = None,
    step_metric: Annotated[
        str | None,
        typer.Option(
            help="The logged value that is the step; W&B's own _step by default.",
            rich_help_panel=_OF_WANDB,
        ),
    ] = None,
    filters: Annotated[
        str | None,
        typer.Option(
            "--filter",
            help='Which runs, as JSON in the form of wandb.Api().runs: {"group": "first"}.',
            metavar="JSON",
            rich_help_panel=_OF_WANDB,
        ),
    ] = None,
    guess_space: Annotated[
        bool,
        typer.Option(
            "--guess-space",
            help="Make a search space up from the runs, if neither study nor sweep declares one.",
            rich_help_panel=_OF_WANDB,
        ),
    ] = False,
    *,
    skip_unfit: Annotated[
        bool,
        typer.Option(
            "--skip-unfit", help="Import the others if trials do not fit the study, not none."
        ),
    ] = False,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data_dir: ServerDirOption = None,
) -> None:
    """Import finished trials of Optuna or runs of W&B, for the sampler to go on from.

    Trials that were imported before are passed over: repeat the command after a crash, or when
    there are more. Exit with 1, and import nothing, if trials do not fit the study.
    """
    of_optuna = {"--source-study": source_study, "--states": states}
    of_wandb = {
        "--metric": metric,
        "--goal": goal,
        "--value": value,
        "--step-metric": step_metric,
        "--filter": filters,
        "--guess-space": guess_space or None,
    }
    with explain_failures():
        if (from_optuna is None) == (from_wandb is None):
            raise WrongUse("Say where the trials are: give either --from-optuna or --from-wandb.")
        if from_optuna is not None:
            _refuse_given(of_wandb, "--from-wandb")
            read = _prepare_optuna(name, from_optuna, source_study, states or _STATES)
        else:
            _refuse_given(of_optuna, "--from-optuna")
            read = _prepare_wandb(name, str(from_wandb), of_wandb)
        # Loading Optuna takes seconds, which other commands need not wait for.
        from service.cli.imports.importing import import_all
        from service.cli.imports.telling import tell

        with open_client(url, data_dir) as client:
            outcome = import_all(client, name, read, skip_unfit=skip_unfit)
    tell(outcome, as_json=as_json)
    if outcome.is_refused:
        raise typer.Exit(1)


def _refuse_given(options: Mapping[str, object], source: str) -> None:
    for option, given in options.items():
        if given is not None:
            raise WrongUse(f"{option} is for {source}; leave it out.")


def _prepare_optuna(name: str, location: str, study: str | None, states: str) -> "Read":
    from optuna.trial import TrialState

    from service.cli.imports.optuna_trials import read_optuna

    wanted = [word.strip().lower() for word in states.split(",")]
    unknown = [word for word in wanted if word not in _STATES.split(",")]
    if unknown:
        raise WrongUse(f"--states is a list of {_STATES}, not {unknown[0]!r}.")
    kept = [TrialState[word.upper()] for word in wanted]
    return lambda existing: read_optuna(location, study, kept, name=name, existing=existing)


def _prepare_wandb(name: str, path: str, options: Mapping[str, Any]) -> "Read":
    from service.cli.imports.wandb_runs import WandbPath
    from service.cli.imports.wandb_trials import read_wandb
    from service.cli.imports.wandb_wishes import WandbWishes

    parsed = WandbPath.parse(path)
    wishes = WandbWishes(
        metrics=options["--metric"] or (),
        goals=options["--goal"] or (),
        value=options["--value"] or RunValue.SUMMARY,
        step_metric=options["--step-metric"],
        filters=_parse_filters(options["--filter"]),
        guesses_space=bool(options["--guess-space"]),
    )
    return lambda existing: read_wandb(parsed, wishes, name=name, existing=existing)


def _parse_filters(text: str | None) -> dict[str, Any]:
    try:
        filters = json.loads(text or "{}")
    except ValueError as error:
        raise WrongUse(f"--filter is not JSON: {error}.") from error
    if not isinstance(filters, dict):
        raise WrongUse('--filter is a JSON object, such as {"group": "first"}.')
    return filters
