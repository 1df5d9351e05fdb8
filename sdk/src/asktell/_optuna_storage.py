"""What integrations of Optuna find where Optuna has its storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from asktell._optuna import SYSTEM_ATTR_PREFIX

if TYPE_CHECKING:
    from asktell._trial import Trial


class NoStorage:
    """Stands where Optuna's Study has its storage; says that it is none."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"There is no storage of Optuna with a {name!r} here: the study is kept by a server. "
            "What has to write to a storage by itself cannot work with it."
        )


class TrialNotes(NoStorage):
    """Stands where Optuna's Trial has its storage; integrations leave notes for themselves there.

    A note is a user attribute of the trial, with a prefix.
    """

    def __init__(self, trial: Trial) -> None:
        self._trial = trial

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Keeps a note; it reaches the server when the trial is told.

        Raises:
            ValueError: It is about another trial.
            TypeError: The value has no JSON form.
        """
        if trial_id != self._trial.number:
            raise ValueError(f"Trial {self._trial.number} keeps no notes of trial {trial_id}.")
        self._trial.set_user_attr(f"{SYSTEM_ATTR_PREFIX}{key}", value)
