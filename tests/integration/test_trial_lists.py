"""Lists of trials agree with Optuna, whatever it has stored."""

import math
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.storages import RDBStorage
from optuna.trial import create_trial

from service.domain.studies import TrialCounts
from service.domain.trials import TrialState
from service.storage.charts import choose_span, read_history
from service.storage.database import Database
from service.storage.reads import Reads, StoredStudy
from service.storage.trial_columns import read_columns
from service.storage.trial_lists import TrialOrder, list_trials
from tests.integration.reads_use import build_spec, manage, open_reads

CONSTRAINTS: list[dict[str, Any]] = [
    {},
    {"constraints": []},
    *(
        {"constraints": [-1.0, value]}
        for value in (0, 0.0, -0.0, -1e-9, 1e-9, 1, 10, 0.05, -10.5, 5e-324, 1e22, 1.5e300)
    ),
    *({"constraints": [value, -0.5]} for value in (math.nan, math.inf, -math.inf, True, False)),
    *({"constraints:size": value} for value in (0.0, 0.1, -0.1, 1e-9, 7, math.nan, math.inf)),
    {"constraints": [-1.0], "constraints:size": 2},
    {"other": [1.0], "xconstraints": 1, "constraint": [3]},
]


async def get_study(reads: Reads, name: str) -> StoredStudy:
    study = await reads.find_study(name)
    assert study is not None
    return study


async def test_feasible_trials_are_those_of_optuna(database: Database, storage: RDBStorage) -> None:
    plain = optuna.create_study(storage=storage, study_name="s", direction="maximize")
    for number, attrs in enumerate(CONSTRAINTS):
        plain.add_trial(create_trial(value=float(number), system_attrs=attrs))
    manage(database, build_spec("s"))
    feasible = [
        trial.number
        for trial in plain.trials
        if not any(value > 0 for value in trial.constraints.values())
    ]
    others = sorted(set(range(len(CONSTRAINTS))) - set(feasible))

    async with open_reads(database) as reads:
        study = (await get_study(reads, "s")).summary
        rows = await list_trials(
            reads,
            study,
            order=TrialOrder.BEST,
            states=None,
            limit=100,
            after=None,
            fields=["values"],
        )
        history = await read_history(reads, study, points=100)

    assert [row.trial.number for row in rows] == [*reversed(feasible), *reversed(others)]
    # Values rise with the numbers: each feasible trial is better than all before.
    assert [point.number for point in history.best] == feasible
    assert len(history.points) == len(CONSTRAINTS)
    assert {point.state for point in history.points} == {TrialState.COMPLETE}


async def test_columns_are_what_trials_show(database: Database, storage: RDBStorage) -> None:
    plain = optuna.create_study(storage=storage, study_name="s", direction="maximize")
    odd = CategoricalDistribution((math.nan, math.inf, "a", None, True, 3))
    narrow, wide = FloatDistribution(0, 1, step=0.1), FloatDistribution(0, 2)
    for place, choice in enumerate(odd.choices):
        distributions = {"odd": odd, "x": wide if place % 2 else narrow, "x ∈ [1]": narrow}
        params = {"odd": choice, "x": place / 10, "x ∈ [1]": 0.5}
        plain.add_trial(create_trial(value=place, params=params, distributions=distributions))
    plain.add_trial(create_trial(value=math.inf))
    manage(database, build_spec("s"))

    async with open_reads(database) as reads:
        columns = await read_columns(
            reads, await get_study(reads, "s"), ["odd", "x", "x ∈ [1]", "o0", "o", "none"]
        )

    assert set(columns) == {"odd", "x", "x ∈ [1]", "o0"}
    for name in ("odd", "x", "x ∈ [1]"):
        stored = {each.number: each.params[name] for each in plain.trials if each.params}
        assert {number: repr(value) for number, value in columns[name].values.items()} == {
            number: repr(value) for number, value in stored.items()
        }
        assert columns[name].may_be_number
    assert columns["o0"].values == {each.number: each.value for each in plain.trials}
    assert (columns["x"].tolerance, columns["o0"].tolerance) == (pytest.approx(1e-9), 0)


@pytest.mark.parametrize(
    ("finished", "span"),
    [(0, 400), (400, 400), (401, 450), (423, 450), (799, 800), (801, 900), (9000, 9600)],
)
def test_long_histories_are_thinned_to_about_the_number_that_is_wanted(
    finished: int, span: int
) -> None:
    counts = TrialCounts(complete=finished, waiting=9000)

    assert choose_span(counts, 400) == span
    shown = sum(number * 400 % span < 400 for number in range(finished))
    assert 0.88 * min(finished, 400) <= shown <= 400


@pytest.mark.parametrize("points", [1, 2, 3, 60, 2000])
def test_growing_histories_are_seldom_thinned_anew(points: int) -> None:
    amounts = range(points, 8 * points)

    spans = [choose_span(TrialCounts(fail=amount), points) for amount in amounts]

    assert len(set(spans)) <= 3 * 8 + 1
    assert all(amount <= span for amount, span in zip(amounts, spans, strict=True))
