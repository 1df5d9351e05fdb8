"""An optimizer's study as a Flyte Deck."""

from __future__ import annotations

import html
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import optuna
from optuna.study import StudyDirection

# What Optuna raises where a study has too few trials, or values that do not differ, for a plot.
_NOT_DRAWN = (ValueError, RuntimeError, ImportError)


def draw_study(study: optuna.Study) -> str:
    """History, timeline and importances as HTML, with plotly's script in it once.

    In place of a plot that Optuna cannot draw of this study there is a sentence that says why.

    Raises:
        ImportError: plotly is not installed.
    """
    if not optuna.visualization.is_available():
        raise ImportError("A deck is drawn by plotly: pip install plotly.")
    return "\n".join(_draw_all(study))


def _draw_all(study: optuna.Study) -> Iterator[str]:
    needs_script = True
    for title, plot in _list_plots(study):
        yield f"<h3>{html.escape(title)}</h3>"
        try:
            figure = plot()
        except _NOT_DRAWN as error:
            yield f"<p>Not drawn: {html.escape(str(error))}</p>"
        else:
            yield figure.to_html(full_html=False, include_plotlyjs=needs_script)
            needs_script = False


def _list_plots(study: optuna.Study) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Titles, and what draws the plots."""
    draw = optuna.visualization
    yield "Timeline", partial(draw.plot_timeline, study)
    if len(study.directions) == 1:
        yield "History", partial(draw.plot_optimization_history, study)
        yield "Importances", partial(draw.plot_param_importances, study)
        return
    for index, direction in enumerate(study.directions):
        name = f"value {index}"
        history = partial(_pick, index, 1)
        yield (
            f"History of {name}",
            partial(draw.plot_optimization_history, study, target=history, target_name=name),
        )
        sign = -1 if direction is StudyDirection.MAXIMIZE else 1
        yield f"Importances for {name}", partial(_plot_importances, study, index, sign)


def _plot_importances(study: optuna.Study, index: int, sign: int) -> Any:
    with warnings.catch_warnings():
        # It says that low values are what counts, which is why the sign is turned.
        warnings.filterwarnings("ignore", "PedAnovaImportanceEvaluator computes", UserWarning)
        return optuna.visualization.plot_param_importances(
            study, target=partial(_pick, index, sign), target_name=f"value {index}"
        )


def _pick(index: int, sign: int, trial: optuna.trial.FrozenTrial) -> float:
    value: float = trial.values[index]
    return sign * value
