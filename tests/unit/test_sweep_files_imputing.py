"""Sweep files: how trials without a value count."""

from typing import Any

import pytest

from service.cli.sweep.preview import build_preview
from service.domain.errors import InvalidSweepFile
from tests.unit.scheduler_file_use import ENGINE, find_problems, list_notes, read


@pytest.mark.parametrize(
    ("metric", "method", "sampler"),
    [
        (
            "impute: worst",
            "bayes",
            {"base_sampler": {"type": "TPESampler"}, "failed": "worst"},
        ),
        (
            "impute_while_running: latest",
            "custom",
            {"base_sampler": {"type": "TPESampler"}, "running": "latest"},
        ),
        (
            "impute: best, impute_while_running: best",
            "custom\nsampler: {type: CmaEsSampler, args: {popsize: 5}}",
            {
                "base_sampler": {"type": "CmaEsSampler", "args": {"popsize": 5}},
                "failed": "best",
                "running": "best",
            },
        ),
        ("impute: latest, impute_while_running: 'false'", "random", None),
        ("impute_while_running: false", "bayes", None),
    ],
)
def test_trials_without_a_value_count_as_the_metric_says(
    metric: str, method: str, sampler: Any
) -> None:
    text = ENGINE.replace("name: loss", f"name: loss, {metric}").replace("custom", method)

    file = read(text)

    found = file.document.get("sampler", {})
    assert (found.get("type") == "ImputingSampler") == (sampler is not None)
    assert found.get("args") == sampler
    assert any("learns nothing from trials" in each for each in list_notes(file)) == (
        method == "random"
    )
    build_preview(file, "s")


def test_a_sampler_that_cannot_impute_is_named_where_it_is() -> None:
    text = ENGINE.replace("loss", "loss, impute: worst") + "sampler: {type: QMCSampler}\n"

    with pytest.raises(InvalidSweepFile) as caught:
        build_preview(read(text), "s")

    (error,) = caught.value.errors
    assert error.field.startswith("sampler")
    assert "line 5: This must be one of TPESampler" in error.message


@pytest.mark.parametrize(
    ("metric", "key", "words"),
    [
        ("impute: mean", "metric.impute", 'latest, best, worst, not "mean"'),
        ("impute: false", "metric.impute", "not false"),
        ("impute_while_running: never", "metric.impute_while_running", "latest, best, worst"),
    ],
)
def test_odd_words_for_imputing(metric: str, key: str, words: str) -> None:
    (found,) = find_problems(ENGINE.replace("loss", f"loss, {metric}")).items()

    assert found[0] == key
    assert words in found[1]
