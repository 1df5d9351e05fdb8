"""The deck of an optimizer."""

import subprocess
import sys

import optuna
from asktell.flyte import Optimizer, suggest
from flytekit.deck import Deck

WITHOUT_PLOTLY = """
import sys
sys.modules["plotly"] = None
from asktell.flyte import Optimizer
try:
    Optimizer(lambda trial: 1.0, 1, 1).deck()
except ImportError as error:
    print(error)
"""


def add(trial: optuna.Trial, x: float, y: float) -> float:
    return x + y


def add_and_subtract(trial: optuna.Trial, x: float, y: float) -> tuple[float, float]:
    return x + y, x - y


async def test_it_shows_timeline_history_and_importances(study: optuna.Study) -> None:
    optimizer = Optimizer(add, 1, 6, study)
    await optimizer(x=suggest.float(0, 1), y=suggest.float(0, 2))
    deck = optimizer.deck("Study")
    assert isinstance(deck, Deck)
    assert deck.name == "Study"
    for title in ("Timeline Plot", "Optimization History Plot", "Hyperparameter Importances"):
        assert title in deck.html
    assert "Not drawn" not in deck.html
    # plotly's script is there once, and no page from elsewhere is loaded.
    assert deck.html.count("plotly.js v") == 1
    assert 'src="http' not in deck.html


async def test_several_objectives_have_plots_each() -> None:
    study = optuna.create_study(directions=["minimize", "maximize"])
    optimizer = Optimizer(add_and_subtract, 1, 20, study)
    await optimizer(x=suggest.float(0, 1), y=suggest.float(0, 2))
    html = optimizer.deck().html
    for title in ("History of value 0", "History of value 1", "Importances for value 1"):
        assert title in html
    assert "Not drawn" not in html


def test_without_plotly_the_error_says_what_to_install() -> None:
    command = [sys.executable, "-c", WITHOUT_PLOTLY]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "pip install plotly" in done.stdout
