"""What code of users says of itself: anything, of which nothing is believed."""

from typing import Any

import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)
from optuna.study import StudyDirection

from service.domain.user_code import PRUNER_STATE_ATTR, SAMPLER_STATE_ATTR
from service.engine.mirror import Mirror
from service.engine.replica.user_answers import (
    OF_PRUNERS,
    read_decision,
    read_drawn,
    read_drawn_value,
    read_value,
    write_attributes,
)
from service.sandbox import FileFailed

FLOAT = distribution_to_json(FloatDistribution(0.0, 1.0))
ODD: tuple[Any, ...] = (None, True, 7, 0.5, "x", [], [1], {}, {"a": 1}, [[]], "[]", '"x"', "{}")


@pytest.fixture
def mirror() -> Mirror:
    mirror = Mirror(
        study_id=1,
        name="s",
        directions=[StudyDirection.MINIMIZE],
        new_trial_id=iter(range(10)).__next__,
    )
    mirror.create_new_trial(1)
    mirror.journal.clear()
    return mirror


def test_what_is_in_order_is_taken(mirror: Mirror) -> None:
    space, params = read_drawn({"value": {"space": {"x": FLOAT}, "params": {"x": 0.5}}})
    assert (space, params) == ({"x": FloatDistribution(0.0, 1.0)}, {"x": 0.5})
    outside = {"space": {"x": FLOAT, "y": FLOAT}, "params": {"x": 1.5, "y": 1}}
    assert read_drawn({"value": outside}) == ({"y": FloatDistribution(0.0, 1.0)}, {"y": 1})
    assert read_decision({"value": True})
    assert read_drawn_value("k", CategoricalDistribution(["a", None]), None) is None
    write_attributes(
        mirror,
        [
            {"trial_id": None, "kind": "user", "key": "u", "value": [1, {"a": 2}]},
            {"trial_id": 0, "kind": "system", "key": "user:own:note", "value": 0.5},
        ],
    )
    assert mirror.user_attrs == {"u": [1, {"a": 2}]}
    assert mirror.get_trial(0).system_attrs == {"user:own:note": 0.5}
    state = {"trial_id": None, "kind": "system", "key": PRUNER_STATE_ATTR, "value": "cGlja2xl"}
    write_attributes(mirror, [state, state | {"value": None}], ours=OF_PRUNERS)
    assert mirror.system_attrs == {PRUNER_STATE_ATTR: None}


@pytest.mark.parametrize("value", ODD)
def test_joint_draws_that_are_none(value: Any) -> None:
    for drawn in (
        value,
        {"space": value, "params": {"x": 1}},
        {"space": {"x": FLOAT}, "params": value},
        {"space": {"x": value}, "params": {"x": 0.5}},
        {"space": {"x": f'{{"name": {FLOAT}, "attributes": 1}}'}, "params": {"x": 0.5}},
        {"space": {"x": "[" * 100_000}, "params": {"x": 0.5}},
        {"space": {"x": FLOAT}, "params": {"x": "odd"}},
        {"space": {"x": '{"name": "FloatDistribution", "attributes": []}'}, "params": {"x": 0.5}},
        {
            "space": {"x": '{"name": "IntDistribution", "attributes": {"low": "a"}}'},
            "params": {"x": 1},
        },
    ):
        with pytest.raises(FileFailed):
            read_drawn({"value": drawn})


@pytest.mark.parametrize("value", [value for value in ODD if value is not True])
def test_decisions_that_are_none(value: Any) -> None:
    with pytest.raises(FileFailed):
        read_decision({"value": value})


@pytest.mark.parametrize(
    ("distribution", "value"),
    [
        (FloatDistribution(0.0, 1.0), 1.5),
        (FloatDistribution(0.0, 1.0), "0.5"),
        (FloatDistribution(0.0, 1.0), None),
        (FloatDistribution(0.0, 1.0), True),
        (FloatDistribution(0.0, 1.0), float("nan")),
        (IntDistribution(1, 9), 1.5),
        (IntDistribution(1, 9), 10**40),
        (IntDistribution(1, 9), []),
        (CategoricalDistribution(["a"]), "b"),
        (CategoricalDistribution([1]), True),
        (CategoricalDistribution(["a"]), {"a": 1}),
        (FloatDistribution(0.0, 1.0), 10**400),
        (FloatDistribution(0.0, 1.0, step=0.1), 1e300),
    ],
)
def test_values_outside_their_distribution(distribution: Any, value: Any) -> None:
    with pytest.raises(FileFailed, match=r'The sampler gave .* for "p"'):
        read_drawn_value("p", distribution, value)


@pytest.mark.parametrize("failed", ODD)
def test_failures_without_words(failed: Any) -> None:
    with pytest.raises(FileFailed):
        read_value({"failed": failed})


@pytest.mark.parametrize(
    "changed",
    [
        {"trial_id": "0"},
        {"trial_id": 5},
        {"kind": "both"},
        {"key": ""},
        {"key": "x" * 600},
        {"key": "nul\0"},
        {"key": "own"},
        # What Optuna's own samplers and pruners would believe.
        {"key": "cma:optimizer:0"},
        {"key": "qmc:0"},
        {"key": "fixed_params"},
        {"key": "constraints"},
        {"key": "asktell:config"},
        {"kind": "user", "key": "asktell:imported_from"},
        {"key": SAMPLER_STATE_ATTR},
        {"key": PRUNER_STATE_ATTR, "value": 7},
        {"key": PRUNER_STATE_ATTR, "value": "x" * 100_000},
        {"value": float("inf")},
        {"value": 2**70},
        {"value": "\ud800"},
    ],
)
def test_attributes_that_it_may_not_set(mirror: Mirror, changed: dict[str, Any]) -> None:
    write = {"trial_id": 0, "kind": "system", "key": "user:own", "value": 1}
    write_attributes(mirror, [write], ours=OF_PRUNERS)
    with pytest.raises(FileFailed):
        write_attributes(mirror, [write | changed], ours=OF_PRUNERS)
    assert mirror.get_trial(0).system_attrs == {"user:own": 1}


@pytest.mark.parametrize("writes", [writes for writes in ODD if writes != []])
def test_writes_that_are_none(mirror: Mirror, writes: Any) -> None:
    with pytest.raises(FileFailed):
        write_attributes(mirror, writes)
    assert not mirror.journal
