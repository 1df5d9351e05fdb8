"""Finished trials from elsewhere as the API takes them: ours, or Optuna's FrozenTrial."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from asktell import _protocol
from asktell._json import encode_number, to_plain
from asktell._optuna import told_state_word
from asktell._protocol import describe_constraints, describe_space

if TYPE_CHECKING:
    from asktell._described import DescribedStudy
    from asktell._exchange import Exchange, Server

# As many as one request may carry, and few enough for its body not to be too large.
IMPORT_BATCH = 200


def add_trials(
    server: Server,
    study: DescribedStudy,
    trials: Iterable[Any],
    *,
    distributions: Mapping[str, Any] | None,
    idempotency_key: str | None,
) -> Exchange[list[int]]:
    """See `Study.add_trials`."""
    is_space_declared = study.space is not None
    documents = [
        trial
        if isinstance(trial, Mapping)
        else describe_trial(trial, is_space_declared=is_space_declared, distributions=distributions)
        for trial in trials
    ]
    if idempotency_key is not None and len(documents) > IMPORT_BATCH:
        raise ValueError(f"A key is for at most {IMPORT_BATCH} trials, not {len(documents)}.")
    numbers: list[int] = []
    for start in range(0, len(documents), IMPORT_BATCH):
        batch = documents[start : start + IMPORT_BATCH]
        request = _protocol.import_trials(study.name, batch, idempotency_key=idempotency_key)
        numbers += (yield from server.call(request))["numbers"]
    return numbers


def describe_trial(
    trial: Any, *, is_space_declared: bool, distributions: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The document of a finished trial.

    Args:
        trial: Ours does not know the distributions of its parameters, Optuna's does.
        is_space_declared: Whether the study that it goes to knows them.
        distributions: If neither does.

    Raises:
        ValueError: The trial is not finished.
        TypeError: Something in it has no JSON form.
    """
    state = told_state_word(trial.state)
    values = trial.values if state == "COMPLETE" else None
    document = {
        "state": state,
        "distributions": None if is_space_declared else _find_distributions(trial, distributions),
        "values": values and [encode_number(value) for value in values],
        "intermediate_values": [
            {"step": step, "value": encode_number(value)}
            for step, value in trial.intermediate_values.items()
        ],
        "user_attrs": to_plain(trial.user_attrs),
        "constraints": describe_constraints(_find_constraints(trial)),
        "reason": getattr(trial, "reason", None),
        "started_at": _describe_time(trial.datetime_start),
        "finished_at": _describe_time(trial.datetime_complete),
    }
    given = {key: value for key, value in document.items() if value}
    return {"params": to_plain(trial.params), **given}


def _find_distributions(
    trial: Any, distributions: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    if distributions is None:
        return describe_space(getattr(trial, "distributions", {}))
    return describe_space({name: distributions[name] for name in trial.params})


def _find_constraints(trial: Any) -> Any:
    # Before Optuna 5 they are a list in an attribute of the system.
    attrs = getattr(trial, "system_attrs", {})
    return getattr(trial, "constraints", attrs.get("constraints")) or {}


def _describe_time(at: datetime | None) -> str | None:
    # Optuna's times are naive and local, which is what astimezone takes them for.
    return None if at is None else at.astimezone(timezone.utc).isoformat()
