"""What `optimize` cannot work with is refused in words, before a trial starts."""

import math
from typing import Any

import asktell
import pytest


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"n_trials": "5"}, TypeError, "n_trials is a whole number, or None for no limit: '5'"),
        ({"n_trials": 2.5}, TypeError, "n_trials is a whole number"),
        ({"n_trials": -1}, ValueError, "n_trials is at least 0: -1"),
        ({"timeout": "60"}, TypeError, "timeout is a number of seconds, or None"),
        ({"timeout": -1}, ValueError, "timeout is at least 0: -1"),
        ({"timeout": math.nan}, ValueError, "timeout is at least 0: nan"),
        ({"n_jobs": "2"}, TypeError, "n_jobs is a number of threads"),
        ({"n_jobs": 0}, ValueError, "n_jobs is a number of threads"),
        ({"n_jobs": -2}, ValueError, "n_jobs is a number of threads"),
        ({"callbacks": print}, TypeError, "callbacks is a list of functions"),
        ({"callbacks": [print, 5]}, TypeError, "A callback is a function .*: 5"),
        ({"func": 5}, TypeError, "The objective is a function .*: 5"),
    ],
)
def test_what_makes_no_sense_is_refused_before_the_first_trial(
    study: asktell.Study, arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        study.optimize(**{"func": lambda _: 1.0, "n_trials": 1, **arguments})
    assert study.trials == []


@pytest.mark.parametrize("arguments", [{"n_trials": 0}, {"timeout": 0}])
def test_none_at_all_is_allowed(study: asktell.Study, arguments: dict[str, Any]) -> None:
    study.optimize(lambda _: 1.0, **arguments)
    assert study.trials == []


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (math.nan, 1, '"low" of "q" is NaN'),
        (0, math.nan, '"high" of "q" is NaN'),
        (0, math.inf, '"high" of "q" is infinite'),
    ],
)
def test_a_bound_that_is_no_number_is_named(
    study: asktell.Study, low: float, high: float, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        study.ask().suggest_float("q", low, high)


def test_a_bound_of_a_declared_space_is_named_too(client: asktell.Client, name: str) -> None:
    space = {"q": {"type": "float", "low": math.nan, "high": 1}}
    with pytest.raises(ValueError, match='"low" of "q" is NaN'):
        client.create_study(name, space=space)
