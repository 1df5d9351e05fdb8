"""Settings of a study: whether they make sense, and changes to them."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from service.domain.errors import FieldError, InvalidSettings
from service.domain.studies import Budget, StudySettings
from service.storage.specs import settings_from_document, settings_to_document


def check_settings(settings: StudySettings, *, n_objectives: int, is_sweep: bool = False) -> None:
    """Checks settings of a study with so many objectives.

    Raises:
        InvalidSettings: With an entry for every setting that is out of range.
    """
    errors = [*_list_problems(settings), *_list_misplaced(settings.budget, n_objectives)]
    if is_sweep and settings.lease_seconds is None:
        errors.append(
            FieldError(
                "lease_seconds",
                "A sweep needs one: else nobody would ever notice that a worker is gone.",
            )
        )
    if errors:
        raise InvalidSettings(
            f"The settings are not valid: {errors[0].field}: {errors[0].message}", errors=errors
        )


def patch_settings(settings: StudySettings, patch: Mapping[str, Any]) -> StudySettings:
    """Returns the settings changed by a JSON merge patch (RFC 7396).

    A limit that is set to null is none; `retry` and its parts, and `lease_seconds`, set to null
    go back to no retries and no lease.

    Raises:
        InvalidSettings: The patch names what is no setting, or a value of the wrong type.
    """
    document = _merge(settings_to_document(settings), patch)
    document["budget"] = document.get("budget") or {}
    document["retry"] = document.get("retry") or {"max_attempts": 1, "on": [], "mode": "restart"}
    try:
        return settings_from_document({"parallelism": None, "lease_seconds": None} | document)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidSettings(
            "The patch does not fit the settings: they are budget, parallelism, lease_seconds "
            f"and retry ({error})."
        ) from error


def _merge(document: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(document)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping) and isinstance(merged.get(name), Mapping):
            merged[name] = _merge(merged[name], value)
        else:
            merged[name] = value
    return merged


def _list_problems(settings: StudySettings) -> Iterator[FieldError]:
    budget, retry = settings.budget, settings.retry
    for name, value, lowest in (
        ("budget.max_trials", budget.max_trials, 1),
        ("budget.max_seconds", budget.max_seconds, 1),
        ("budget.max_failures", budget.max_failures, 1),
        ("budget.patience", budget.patience, 1),
        ("parallelism", settings.parallelism, 1),
        ("lease_seconds", settings.lease_seconds, 1),
        ("retry.max_attempts", retry.max_attempts, 1),
    ):
        if value is not None and not lowest <= value <= _HIGHEST:
            yield FieldError(name, f"This must be at least {lowest}, and at most {_HIGHEST:,}.")
    if budget.target is not None and not math.isfinite(budget.target):
        yield FieldError("budget.target", "This must be a number.")


# 68 years of seconds; and what a column for counts holds.
_HIGHEST = 2**31 - 1


def _list_misplaced(budget: Budget, n_objectives: int) -> Iterator[FieldError]:
    if n_objectives == 1:
        return
    for name in ("target", "patience"):
        if getattr(budget, name) is not None:
            yield FieldError(
                f"budget.{name}", "With several objectives there is no best value; leave it out."
            )
