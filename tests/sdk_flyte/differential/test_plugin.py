"""One scenario with the published plugin and with ours: the same but for what is listed here."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.sdk_flyte.differential.conftest import Played

pytestmark = pytest.mark.timeout(300)

MADE: tuple[Any, Any] = (None, None)
REFUSED: tuple[Any, Any] = ("ValueError", None)
CRASHED: tuple[Any, Any] = ("ValueError", {"RUNNING": 3})
UNTOUCHED: dict[str, int] = {}


def ended(state: str) -> tuple[Any, Any]:
    return (None, {state: 3})


IMPROVEMENTS = {
    "make of postponed annotations": (REFUSED, MADE),
    "make of a named pair": (REFUSED, MADE),
    "make of a list": (MADE, REFUSED),
    "make with concurrency True": (MADE, REFUSED),
    "make with delay True": (MADE, REFUSED),
    "make with delay 0.5": (REFUSED, MADE),
    "suggest one value": (REFUSED, MADE),
    "suggest step 0": (MADE, REFUSED),
    "suggest step -1": (MADE, REFUSED),
    "suggest log from 0": (MADE, REFUSED),
    "suggest log and step": (MADE, REFUSED),
    "suggest texts": (MADE, REFUSED),
    "suggest NaN": (MADE, REFUSED),
    "suggest of no choices": (MADE, REFUSED),
    "run NaN": (CRASHED, ended("FAIL")),
    "run None": (CRASHED, ended("FAIL")),
    "run dictionary": (CRASHED, ended("FAIL")),
    "run pruned": (("TrialPruned", {"RUNNING": 3}), ended("PRUNED")),
    "run failing task": (CRASHED, ended("FAIL")),
    "run unknown input": (("AssertionError", {"RUNNING": 3}), ("TypeError", UNTOUCHED)),
    "run raw suggestion": (CRASHED, ended("COMPLETE")),
    "run collision": (ended("COMPLETE"), ("ValueError", UNTOUCHED)),
    "name of a decorated task": (None, "tests.sdk_flyte.differential.scenario.mixed"),
}
"""Error and states of the trials, of theirs and of ours."""


ONE_TRIAL = """
import asyncio
from asktell.flyte import Optimizer
optimizer = Optimizer(lambda trial: trial.suggest_float("x", 0, 1), 1, 1)
asyncio.run(optimizer())
print(optimizer.deck().html)
"""


def shorten(result: Any) -> Any:
    return (result["error"], result.get("states")) if isinstance(result, dict) else result


def test_ours_does_what_the_plugin_does_but_for_the_improvements(played: Played) -> None:
    theirs, ours = played.theirs, played.ours
    assert theirs.keys() == ours.keys()
    differences = {
        case: (shorten(theirs[case]), shorten(ours[case]))
        for case in theirs
        if theirs[case] != ours[case]
    }
    assert differences == IMPROVEMENTS
    assert len(theirs) - len(differences) >= 38


def test_ours_does_the_same_with_optuna_4(played: Played) -> None:
    assert played.ours_with_optuna_4 == played.ours


def test_a_plot_that_optuna_4_cannot_draw_is_explained_in_the_deck(plugin_python: Path) -> None:
    command = [plugin_python, "-W", "ignore", "-c", ONE_TRIAL]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "<h3>Importances</h3>\n<p>Not drawn: Cannot evaluate parameter" in done.stdout
