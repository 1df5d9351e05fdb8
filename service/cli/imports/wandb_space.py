"""Which entries of a run's configuration are its parameters, and what space they have."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from service.cli.failures import CannotStart
from service.cli.imports.found import Target
from service.cli.imports.guessing import LABELS, flatten_config, guess_space
from service.cli.imports.wandb_runs import WandbPath
from service.domain.errors import InvalidSpace, InvalidSweepFile
from service.search_space import find_scalar_problem, parse_distribution, parse_space
from service.sweep_files.documents import read_document
from service.sweep_files.draft import Draft
from service.sweep_files.problems import Problems
from service.sweep_files.wandb_parameters import read_parameters

_MISSING = object()


@dataclass(frozen=True, slots=True)
class RunSpace:
    """The parameters of runs.

    Attributes:
        document: Of the space, as the API takes it. None: only the study's Python can say what it
            is, so that each run brings all that could be a parameter.
        names: Flattened. What a sweep varies is among them even if the study does not know it.
        notes: What people should know of it.
    """

    document: Mapping[str, Any] | None
    names: Sequence[str] = ()
    notes: Sequence[str] = ()

    def pick_params(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Returns what a run has of them, by flattened name."""
        if self.document is None:
            given = flatten_config(config).items()
            return {name: value for name, value in given if find_scalar_problem(value) is None}
        found = ((name, _find_value(config, name)) for name in self.names)
        return {name: value for name, value in found if value is not _MISSING}

    def list_distributions(self) -> dict[str, Any] | None:
        """Returns the distributions by flattened name, for trials that bring their own.

        None for what the study's Python declares.

        Raises:
            CannotStart: One of them belongs to declared spaces only.
        """
        document = self.document
        if document is None:
            return None
        return {name: _check_distribution(name, document) for name in self.names}


def choose_space(
    path: WandbPath,
    config: Mapping[str, Any],
    existing: Target | None,
    configs: Sequence[Mapping[str, Any]],
    *,
    guesses: bool,
) -> RunSpace:
    """Returns the study's space, else one that is guessed, else the sweep's, else none at all.

    Args:
        config: Of the sweep; empty for a project.
        configs: Of all runs that have ended.
        guesses: Whether a space that the study does not declare is to be guessed.

    Raises:
        CannotStart: There is none.
    """
    declared = None if existing is None else existing.space
    if declared is not None:
        parsed = parse_space(declared)
        fixed = () if path.sweep is not None else parsed.constants
        names = [*parsed.distributions, *fixed, *_list_varied(config)]
        notes = ["--guess-space has no effect: the study declares its space."] if guesses else []
        return RunSpace(declared, list(dict.fromkeys(names)), notes)
    if guesses:
        return _guess(configs)
    if any(_list_varied(config)):
        document = read_space(config)
        return RunSpace(document, list(parse_space(document).distributions))
    if existing is not None:
        return RunSpace(None)
    kind, lack = ("project", "has") if path.sweep is None else ("sweep", "declares")
    raise CannotStart(
        f"The {kind} {path} {lack} no search space. Create the study first, with a space or with "
        "the Python that declares one, or let --guess-space make one up from the runs."
    )


def read_space(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the space that a sweep's configuration declares, as for a sweep file.

    Raises:
        CannotStart: It declares none, or one that cannot be had here.
    """
    problems = Problems()
    try:
        # W&B's SDK leaves numbers such as 1e-5 as text, which the reader of sweep files does not.
        parameters = _drop_labels(config.get("parameters") or {})
        text = yaml.safe_dump({"parameters": parameters or None})
        document = read_document(text, keeps_text=lambda _: False, problems=problems)
        draft = Draft(document, problems)
        is_grid = config.get("method") == "grid"
        read_parameters(draft, document.content["parameters"], is_grid=is_grid)
        problems.check()
    except InvalidSweepFile as error:
        reasons = (f"{each.field}: {_drop_line(each.message)}" for each in error.errors)
        raise CannotStart(
            f"The search space of the sweep cannot be had here. {' '.join(reasons)} Create the "
            "study with a space of its own, or let --guess-space make one up from the runs."
        ) from error
    space: dict[str, Any] = draft.content["space"]
    return space


def _guess(configs: Sequence[Mapping[str, Any]]) -> RunSpace:
    document, left_out = guess_space(configs)
    if configs and not document:
        raise CannotStart("No space can be guessed: there is no scalar that all runs have.")
    try:
        names = list(parse_space(document).distributions)
    except InvalidSpace as error:
        raise CannotStart(f"No space can be guessed from the runs: {error}") from error
    notes = [f"guessed: {name}: {json.dumps(entry)}" for name, entry in document.items()]
    if left_out:
        notes.append(f"not guessed, for not all runs have it as a scalar: {', '.join(left_out)}")
    return RunSpace(document, names, notes)


def _list_varied(config: Mapping[str, Any]) -> Iterator[str]:
    return _list_varied_in(_drop_labels(config.get("parameters") or {}), "")


def _drop_labels(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in parameters.items() if name != LABELS}


def _list_varied_in(parameters: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name, parameter in parameters.items():
        if "parameters" in parameter:
            yield from _list_varied_in(parameter["parameters"], f"{prefix}{name}.")
        elif "value" not in parameter:
            yield f"{prefix}{name}"


def _check_distribution(name: str, document: Mapping[str, Any]) -> Any:
    entry = _find_value(document, name)
    try:
        parse_distribution(name, entry)
    except InvalidSpace as error:
        raise CannotStart(
            f"{name} cannot be a parameter of a study that declares no search space: "
            f"{error.errors[0].message} Import into a new study, or one that declares it."
        ) from error
    return entry


def _find_value(group: Mapping[str, Any], name: str) -> Any:
    """Looks a name up whose parts may be nested, or joined by dots, or both."""
    if name in group:
        return group[name]
    found = (
        _find_value(inner, name.removeprefix(f"{key}."))
        for key, inner in group.items()
        if name.startswith(f"{key}.") and isinstance(inner, Mapping)
    )
    return next((value for value in found if value is not _MISSING), _MISSING)


def _drop_line(message: str) -> str:
    """Lines are those of a text that nobody has seen."""
    return message.partition(": ")[2]
