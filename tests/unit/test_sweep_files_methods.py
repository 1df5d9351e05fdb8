"""Sweep files: the sampler and the pruner that methods of W&B's form become."""

from typing import Any

import pytest

from service.sweep_files import Defaults, read_sweep_file
from tests.unit.sweep_file_use import SMALLEST, read_parameters


@pytest.mark.parametrize(
    ("keys", "args", "note"),
    [
        ("min_iter: 3, eta: 2", {"min_iter": 3, "eta": 2}, None),
        ("max_iter: 9, s: 2, min_iter: 3", {"max_iter": 9, "s": 2, "eta": 3}, "min_iter"),
        ("min_iter: 3, s: 2", {"min_iter": 3, "eta": 3}, "s has no effect without max_iter"),
    ],
)
def test_hyperband_takes_what_wandb_takes(
    keys: str, args: dict[str, Any], note: str | None
) -> None:
    file = read_sweep_file(SMALLEST + f"early_terminate: {{type: hyperband, {keys}}}\n")

    assert file.document["pruner"]["args"] == {**args, "strict": True}
    assert len(file.notes) == (note is not None)
    assert (note or "") in "".join(file.notes)


@pytest.mark.parametrize(
    ("parameter", "entry"),
    [
        ("{min: 1, max: 10, q: 5}", {"type": "int", "low": 1, "high": 6, "step": 5}),
        ("{min: 0, max: 10, q: 5}", {"type": "int", "low": 0, "high": 5, "step": 5}),
        ("{min: 0, max: 1, q: 0.25}", {"type": "float", "low": 0, "high": 0.75, "step": 0.25}),
        ("{min: 0.5, max: 3}", {"type": "float", "low": 0.5, "high": 2.5, "step": 1.0}),
    ],
)
def test_a_grid_visits_what_wandb_visits(parameter: str, entry: Any) -> None:
    text = f"  x: {{distribution: q_uniform, {parameter.strip('{}')}}}\n"

    file = read_parameters(text, method="grid")

    assert file.document["space"] == {"x": entry}
    assert file.document["sampler"] == {"type": "GridSampler"}


def test_a_grid_visits_equal_values_once() -> None:
    file = read_parameters("  x: {values: [1, a, 1.0, true, [2], [2.0]]}\n", method="grid")

    assert file.document["space"]["x"]["choices"] == [1, "a", True, [2]]
    assert file.notes == ("line 5: The grid visits values that are equal once, as in W&B.",)


def test_a_grid_of_one_point_has_one_trial() -> None:
    document = read_parameters("  a: {value: 1}\n  b: {values: [x]}\n", method="grid").document

    assert document["sampler"] == {"type": "RandomSampler"}
    assert document["budget"] == {"max_trials": 1}


@pytest.mark.parametrize(
    ("method", "sampler"),
    [
        ("grid", {"type": "GridSampler"}),
        ("random", {"type": "RandomSampler"}),
        ("bayes", {"type": "TPESampler"}),
        ("custom", None),
        ("custom\nsampler: {type: CmaEsSampler}", {"type": "CmaEsSampler"}),
    ],
)
def test_a_method_is_a_sampler(method: str, sampler: Any) -> None:
    document = read_sweep_file(SMALLEST.replace("random", method)).document

    assert document.get("sampler") == sampler


@pytest.mark.parametrize(
    ("has_gp", "parameter", "sampler", "note"),
    [
        (True, "{min: 1, max: 1000000}", "GPSampler", "as the server has torch"),
        (True, "{min: 0, max: 4294967295}", "TPESampler", "n has more values than GPSampler"),
        (True, "{min: 0.0, max: 4294967295}", "GPSampler", "as the server has torch"),
        (False, "{min: 0, max: 4294967295}", "TPESampler", "as the server has no torch"),
        (None, "{min: 1, max: 4}", "TPESampler", "a server with torch may take GPSampler."),
    ],
)
@pytest.mark.parametrize("impute", ["", ", impute: worst"])
def test_the_method_bayes_is_a_gaussian_process_where_there_can_be_one(
    has_gp: bool | None, parameter: str, sampler: str, note: str, impute: str
) -> None:
    text = SMALLEST.replace("random", "bayes").replace("{values: [1, 2]}", parameter)

    file = read_sweep_file(text.replace("loss", f"loss{impute}"), Defaults(has_gp=has_gp))

    found = file.document["sampler"]
    assert (found["args"]["base_sampler"] if impute else found) == {"type": sampler}
    (told,) = (each for each in file.notes if "method bayes" in each)
    assert told.startswith(f"line 1: The method bayes is Optuna's {sampler}")
    assert note in told
