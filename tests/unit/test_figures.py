"""What of Optuna's plots and importances is too much, or cannot be said."""

import json
from collections.abc import Callable
from dataclasses import replace

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from service.domain.insights import Evaluator, PlotKind
from service.domain.studies import Component, Direction, Objective
from service.domain.user_code import Role, UserCode
from service.engine.replica.figures import draw_plot, rate_params
from service.engine.replica.messages import View
from tests.integration.replica_use import SPACE, build_spec

SPEC = build_spec(Component("RandomSampler"), SPACE)


def build_study(
    n_trials: int, n_params: int, objective: Callable[[int], float] = float
) -> optuna.Study:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    space: dict[str, BaseDistribution] = {
        f"x{index}": FloatDistribution(0.0, 1.0) for index in range(n_params)
    }
    study.add_trials(
        optuna.trial.create_trial(
            params=dict.fromkeys(space, number / n_trials),
            distributions=space,
            value=objective(number),
        )
        for number in range(n_trials)
    )
    return study


@pytest.mark.parametrize("kind", [PlotKind.CONTOUR, PlotKind.RANK])
def test_a_panel_for_each_pair_is_drawn_of_a_few_parameters(kind: PlotKind) -> None:
    study = build_study(3, 7)
    with pytest.raises(ValueError, match=f"A {kind} of 7 parameters .* Name at most 6 in params"):
        draw_plot(study, SPEC, kind, View())
    with pytest.raises(ValueError, match="7 parameters"):
        draw_plot(study, SPEC, kind, View(params=tuple(f"x{index}" for index in range(7))))
    named = View(params=tuple(f"x{index}" for index in range(3)))
    assert len(json.loads(draw_plot(study, SPEC, kind, named))["data"]) >= 6


@pytest.mark.parametrize(
    ("kind", "n_trials", "n_params"), [(PlotKind.CONTOUR, 1300, 2), (PlotKind.RANK, 2000, 6)]
)
def test_what_is_too_large_is_refused_before_it_is_drawn(
    kind: PlotKind, n_trials: int, n_params: int
) -> None:
    study = build_study(n_trials, n_params)
    with pytest.raises(ValueError, match=r"would have some \d+ MB, and the server shows at most"):
        draw_plot(study, SPEC, kind, View())


def test_what_turns_out_too_large_is_refused_as_well() -> None:
    objectives = (Objective("v" * (17 << 20), Direction.MINIMIZE),)
    with pytest.raises(ValueError, match=r"has \d+ MB"):
        draw_plot(build_study(1, 1), replace(SPEC, objectives=objectives), PlotKind.HISTORY, View())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("evaluator", "objective"),
    [
        (Evaluator.FANOVA, lambda _: 1.0),
        (Evaluator.FANOVA, lambda number: 1.7e308 * (1 - number / 10)),
        (Evaluator.MEAN_DECREASE_IMPURITY, lambda number: 1.7e308 * (1 - number / 10)),
    ],
)
def test_values_that_cannot_be_rated_are_refused(
    evaluator: Evaluator, objective: Callable[[int], float]
) -> None:
    study, view = build_study(10, 2, objective), View(evaluator=evaluator)
    with pytest.raises(ValueError, match=r"cannot be rated; they may be all the same"):
        rate_params(study, SPEC, view)
    with pytest.raises(ValueError, match=r"cannot be rated; they may be all the same"):
        draw_plot(study, SPEC, PlotKind.IMPORTANCES, view)


def test_a_slice_has_a_panel_for_each_variant_of_a_parameter() -> None:
    code = UserCode("", {Role.OBJECTIVE: "objective"})
    study = build_study(2, 1)
    kept = ("n ∈ [3, 4]", "n", "m")
    study.add_trials(
        optuna.trial.create_trial(
            params={name: 3}, distributions={name: CategoricalDistribution([3, 4])}, value=1.0
        )
        for name in kept
    )
    figure = json.loads(
        draw_plot(study, replace(SPEC, user_code=code), PlotKind.SLICE, View(params=("n",)))
    )
    titles = [axis["title"]["text"] for key, axis in figure["layout"].items() if "xaxis" in key]
    assert titles == ["n", "n ∈ [3, 4]"]
