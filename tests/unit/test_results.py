"""The best of many results are those that Optuna calls the best."""

import json
import math
import random

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import create_trial

from service.domain.studies import Direction, Objective
from service.storage.results import Result, build_constraints, find_front

# Few different values, so that ties are the rule.
VALUES = st.sampled_from([0.0, -0.0, 1.0, 2.0, 2.5, math.inf, -math.inf])


def objectives_of(directions: list[Direction]) -> list[Objective]:
    return [Objective(f"o{place}", each) for place, each in enumerate(directions)]


def list_best_of_optuna(rows: list[tuple[float, ...]], directions: list[Direction]) -> list[int]:
    study = optuna.create_study(directions=[each.value for each in directions])
    study.add_trials([create_trial(values=list(row)) for row in rows])
    return [trial.number for trial in study.best_trials]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_front_is_that_of_optuna(data: st.DataObject) -> None:
    directions = data.draw(st.lists(st.sampled_from(list(Direction)), min_size=1, max_size=4))
    rows = data.draw(st.lists(st.tuples(*[VALUES] * len(directions)), max_size=12))

    front = find_front([Result(*each) for each in enumerate(rows)], objectives_of(directions))

    assert front == (list_best_of_optuna(rows, directions) if rows else [])


@pytest.mark.parametrize("n_objectives", [1, 2, 3])
def test_front_of_thousands_is_that_of_optuna(n_objectives: int) -> None:
    random_ = random.Random(n_objectives)
    directions = [random_.choice(list(Direction)) for _ in range(n_objectives)]
    rows = [tuple(random_.choices(range(60), k=n_objectives)) for _ in range(3000)]

    front = find_front([Result(*each) for each in enumerate(rows)], objectives_of(directions))

    assert front == list_best_of_optuna(rows, directions)


def test_numbers_need_not_be_places() -> None:
    results = [Result(3, (1.0,)), Result(7, (0.0,)), Result(9, (0.0,))]

    assert find_front(results, objectives_of([Direction.MINIMIZE])) == [7, 9]


def test_constraints_are_those_of_optuna() -> None:
    for attrs in (
        {},
        {"constraints": [0.5, -1.0]},
        {"constraints": []},
        {"constraints:size": 1.0, "constraints:1": -1.0},
        {"constraints": [0.5], "constraints:size": math.inf},
    ):
        trial = create_trial(value=0.0, system_attrs=attrs)
        stored = [(key, json.dumps(value)) for key, value in attrs.items()]

        assert build_constraints(stored) == trial.constraints
