"""Optuna's types are recognised without being imported, and preferred once they are."""

import subprocess
import sys
from typing import Any

import asktell
import optuna
import pytest
from asktell._optuna import (
    direction_named,
    direction_word,
    is_pruning,
    told_state_word,
    trial_state_named,
)


class Subclassed(optuna.TrialPruned):
    pass


class TrialPruned(Exception):  # somebody else's
    pass


@pytest.mark.parametrize("error", [asktell.TrialPruned(), optuna.TrialPruned("x"), Subclassed()])
def test_pruning_is_recognised(error: Exception) -> None:
    assert is_pruning(error)


@pytest.mark.parametrize("error", [TrialPruned(), ValueError(), KeyboardInterrupt()])
def test_nothing_else_is_pruning(error: BaseException) -> None:
    assert not is_pruning(error)


@pytest.mark.parametrize(
    "direction",
    ["maximize", "MAXIMIZE", asktell.StudyDirection.MAXIMIZE, optuna.study.StudyDirection.MAXIMIZE],
)
def test_directions_are_taken_in_any_form(direction: Any) -> None:
    assert direction_word(direction) == "maximize"


@pytest.mark.parametrize("direction", ["up", "", optuna.study.StudyDirection.NOT_SET])
def test_what_is_no_direction_is_refused(direction: Any) -> None:
    with pytest.raises(ValueError, match="minimize"):
        direction_word(direction)


@pytest.mark.parametrize(
    "state", ["PRUNED", "pruned", asktell.TrialState.PRUNED, optuna.trial.TrialState.PRUNED]
)
def test_states_are_taken_in_any_form(state: Any) -> None:
    assert told_state_word(state) == "PRUNED"


@pytest.mark.parametrize("state", ["DONE", optuna.trial.TrialState.RUNNING])
def test_a_state_in_which_no_trial_ends_is_refused(state: Any) -> None:
    with pytest.raises(ValueError, match="COMPLETE"):
        told_state_word(state)


def test_optunas_own_members_are_given_to_those_who_imported_it() -> None:
    assert direction_named("minimize") is optuna.study.StudyDirection.MINIMIZE
    assert trial_state_named("PRUNED") is optuna.trial.TrialState.PRUNED


def test_without_optuna_the_members_are_ours() -> None:
    code = (
        "from asktell._optuna import direction_named as d, trial_state_named as t; import sys;"
        "print(repr(d('minimize')), repr(t('FAIL')), 'optuna' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == ("<StudyDirection.MINIMIZE: 1> <TrialState.FAIL: 3> False"), (
        result.stderr
    )


@pytest.mark.parametrize("member", [*asktell.StudyDirection, *asktell.TrialState])
def test_a_member_is_equal_to_optunas_wherever_it_is_looked_for(member: Any) -> None:
    module = optuna.study if isinstance(member, asktell.StudyDirection) else optuna.trial
    optunas = getattr(module, type(member).__name__)[member.name]
    assert member == optunas
    assert optunas in {member}
    assert member in {optunas}
