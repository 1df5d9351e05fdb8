"""W&B's early termination as a pruner: its rule case by case, its arguments, what it remembers."""

import math
import random
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import optuna
import pytest
from optuna.pruners import BasePruner
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from service.domain.errors import InvalidPruner
from service.domain.studies import Component
from service.engine.mirror import Mirror
from service.pruners import build_pruner, resolve_pruner

NAME = "WandbHyperbandPruner"
ENDS = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def pruner(**args: Any) -> BasePruner:
    component = resolve_pruner(Component(NAME, args), n_objectives=1)
    assert resolve_pruner(component, n_objectives=1) == component
    return build_pruner(component)


def open_mirror(direction: StudyDirection = StudyDirection.MINIMIZE) -> Mirror:
    ids = count(1)
    return Mirror(study_id=1, name="s", directions=[direction], new_trial_id=lambda: next(ids))


def add_trial(mirror: Mirror, rows: Sequence[float] = (), *, end: TrialState | None = None) -> int:
    """Returns the id of a trial that has reported at steps 0, 10, 20 …"""
    trial_id = mirror.create_new_trial(1)
    for index, value in enumerate(rows):
        mirror.set_trial_intermediate_value(trial_id, index * 10, value)
    if end is not None:
        values = [0.0] if end is TrialState.COMPLETE else None
        mirror.set_trial_state_values(trial_id, end, values)
    return trial_id


def is_pruned(pruner: BasePruner, mirror: Mirror, trial_id: int) -> bool:
    study = optuna.Study("s", mirror, pruner=pruner)
    return pruner.prune(study, mirror.get_trial(trial_id))


def list_bands(pruner: BasePruner, *, n_rows: int) -> list[int]:
    """Finds the rows that count: a trial that is worse at one of them only is pruned there."""
    found = []
    for row in range(1, n_rows + 1):
        mirror = open_mirror()
        for _ in range(60):
            add_trial(mirror, [0.0] * row, end=TrialState.COMPLETE)
        if is_pruned(pruner, mirror, add_trial(mirror, [0.0] * (row - 1) + [1.0])):
            found.append(row)
    return found


@pytest.mark.parametrize(
    ("args", "bands"),
    [
        ({"min_iter": 2}, [2, 6, 18]),
        ({"min_iter": 1, "eta": 2}, [1, 2, 4, 8, 16]),
        ({"min_iter": 3, "eta": 1.5}, [3, 4, 6, 10, 15]),
        ({"max_iter": 20, "s": 2}, [2, 6]),
        ({"max_iter": 20, "s": 9, "eta": 2}, [1, 2, 5, 10]),
        ({"max_iter": 20, "s": 1, "eta": 4}, [5]),
    ],
)
def test_bands_count_up_from_min_iter_or_down_from_max_iter(
    args: dict[str, Any], bands: list[int]
) -> None:
    assert list_bands(pruner(**args), n_rows=20) == bands


@pytest.mark.parametrize(("row", "expected"), [(125, True), (131, False)])
def test_there_are_no_more_than_a_hundred_bands(row: int, expected: bool) -> None:
    mirror = open_mirror()
    for _ in range(40):
        add_trial(mirror, [0.0] * row)
    trial = add_trial(mirror, [0.0] * (row - 1) + [1.0])
    assert is_pruned(pruner(min_iter=1, eta=1.05), mirror, trial) is expected


def test_a_trial_is_held_against_the_share_of_trials_that_goes_on() -> None:
    mirror = open_mirror()
    trials = [add_trial(mirror, [float(number)]) for number in range(9)]
    decisions = [is_pruned(pruner(min_iter=1, eta=3), mirror, trial) for trial in trials]
    assert decisions == [False] * 4 + [True] * 5


def test_before_the_first_band_nothing_is_pruned() -> None:
    mirror = open_mirror()
    for _ in range(5):
        add_trial(mirror, [0.0, 0.0, 0.0])
    trial = add_trial(mirror, [9.0, 9.0])
    assert not is_pruned(pruner(min_iter=3), mirror, trial)
    mirror.set_trial_intermediate_value(trial, 20, 9.0)
    assert is_pruned(pruner(min_iter=3), mirror, trial)


def test_a_trial_without_rows_is_not_judged() -> None:
    mirror = open_mirror()
    assert not is_pruned(pruner(min_iter=1), mirror, add_trial(mirror))


def test_a_trial_alone_is_never_pruned() -> None:
    mirror = open_mirror()
    trial = add_trial(mirror, [1.0, 5.0, 9.0])
    assert not is_pruned(pruner(min_iter=1), mirror, trial)
    add_trial(mirror, [0.0, 0.0, 0.0])
    assert is_pruned(pruner(min_iter=1), mirror, trial)


@pytest.mark.parametrize("strict", [True, False])
def test_only_strictly_a_trial_is_pruned_that_was_better_once(strict: bool) -> None:
    mirror = open_mirror()
    add_trial(mirror, [5.0, 3.0])
    trial = add_trial(mirror, [1.0, 4.0])
    assert is_pruned(pruner(min_iter=2, strict=strict), mirror, trial) is strict
    worse = add_trial(mirror, [6.0, 6.0])
    assert is_pruned(pruner(min_iter=2, strict=strict), mirror, worse)


def test_between_bands_the_row_of_the_last_one_counts() -> None:
    mirror = open_mirror()
    add_trial(mirror, [1.0, 1.0, 1.0])
    recovered = add_trial(mirror, [1.0, 2.0, 0.0])
    fallen = add_trial(mirror, [1.0, 1.0, 9.0])
    judge = pruner(min_iter=2)
    assert is_pruned(judge, mirror, recovered)
    assert not is_pruned(judge, mirror, fallen)


def test_equals_of_the_threshold_stay() -> None:
    mirror = open_mirror()
    trials = [add_trial(mirror, [1.0]) for _ in range(6)]
    assert not any(is_pruned(pruner(min_iter=1), mirror, trial) for trial in trials)


def test_larger_is_better_where_the_study_maximizes() -> None:
    mirror = open_mirror(StudyDirection.MAXIMIZE)
    lower, higher = add_trial(mirror, [1.0, 1.0]), add_trial(mirror, [2.0, 2.0])
    for strict in (True, False):
        judge = pruner(min_iter=1, strict=strict)
        assert is_pruned(judge, mirror, lower)
        assert not is_pruned(judge, mirror, higher)


@pytest.mark.parametrize("end", [None, *ENDS])
def test_others_count_whatever_became_of_them(end: TrialState | None) -> None:
    mirror = open_mirror()
    add_trial(mirror, [0.0], end=end)
    assert is_pruned(pruner(min_iter=1), mirror, add_trial(mirror, [1.0]))


def test_others_without_rows_do_not_count() -> None:
    mirror = open_mirror()
    for end in ENDS:
        add_trial(mirror, end=end)
        add_trial(mirror, [math.nan], end=end)
    trials = [add_trial(mirror, [float(number)]) for number in range(3)]
    decisions = [is_pruned(pruner(min_iter=1), mirror, trial) for trial in trials]
    assert decisions == [False, False, True]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_no_numbers_are_no_rows(value: float) -> None:
    mirror = open_mirror()
    add_trial(mirror, [0.0, 0.0])
    trial = add_trial(mirror, [9.0, value])
    assert not is_pruned(pruner(min_iter=2), mirror, trial)
    mirror.set_trial_intermediate_value(trial, 20, 9.0)
    assert is_pruned(pruner(min_iter=2), mirror, trial)
    assert is_pruned(pruner(min_iter=2, strict=False), mirror, trial)


def test_rows_are_in_the_order_of_their_steps() -> None:
    mirror = open_mirror()
    add_trial(mirror, [1.0])
    trial = add_trial(mirror)
    mirror.set_trial_intermediate_value(trial, 7, 2.0)
    assert is_pruned(pruner(min_iter=1, eta=9), mirror, trial)
    mirror.set_trial_intermediate_value(trial, 3, 1.0)
    assert not is_pruned(pruner(min_iter=1, eta=9), mirror, trial)


def test_inside_a_patient_pruner_it_waits_for_patience() -> None:
    wrapped = {"type": NAME, "args": {"min_iter": 1, "eta": 9}}
    component = Component("PatientPruner", {"patience": 1, "wrapped_pruner": wrapped})
    judge = build_pruner(resolve_pruner(component, n_objectives=1))
    mirror = open_mirror()
    add_trial(mirror, [0.0])
    trial = add_trial(mirror, [2.0, 3.0])
    assert not is_pruned(judge, mirror, trial)
    mirror.set_trial_intermediate_value(trial, 20, 4.0)
    assert is_pruned(judge, mirror, trial)


@pytest.mark.parametrize("args", [{"min_iter": 1, "eta": 2}, {"min_iter": 2, "strict": False}])
def test_one_that_has_decided_before_decides_as_a_new_one(args: dict[str, Any]) -> None:
    draw = random.Random(1)
    judge, decisions = pruner(**args), []
    mirror = open_mirror()
    for _ in range(400):
        branch = mirror.fork()
        trial = change(branch, draw)
        decisions.append(is_pruned(judge, branch, trial))
        assert decisions[-1] == is_pruned(pruner(**args), branch, trial)
        if draw.random() < 0.7:  # Else it is as if that had never been.
            mirror = branch
    assert 20 < sum(decisions) < 380


def change(mirror: Mirror, draw: random.Random) -> int:
    """Reports, restarts, ends or starts a trial at random; returns the id of one that runs."""
    running = mirror.get_all_trials(1, deepcopy=False, states=(TrialState.RUNNING,))
    if len(running) < 4:
        return add_trial(mirror, [draw.randrange(9)])
    trial, other = draw.sample(running, 2)
    match draw.choice(["report", "report", "report", "restart", "end"]):
        case "restart":
            mirror.restart_trial(other._trial_id)
        case "end":
            mirror.set_trial_state_values(other._trial_id, draw.choice(ENDS), [0.0])
    step = draw.choice([step for step in range(99) if step not in trial.intermediate_values])
    value = draw.choice([math.nan, *map(float, range(9))])
    mirror.set_trial_intermediate_value(trial._trial_id, step, value)
    return trial._trial_id


def test_of_a_trial_that_has_ended_the_rows_are_read_once() -> None:
    ended = create_trial(value=0.0, intermediate_values={0: 0.0})
    ended.intermediate_values = rows = CountedRows(ended.intermediate_values)
    judge = pruner(min_iter=1)
    mirror = Mirror.of(
        study_id=1,
        name="s",
        directions=[StudyDirection.MINIMIZE],
        user_attrs={},
        system_attrs={},
        trials=[ended],
        new_trial_id=lambda: 7,
    )
    trial = add_trial(mirror, [0.0])
    for step in range(1, 5):
        mirror.set_trial_intermediate_value(trial, step, 0.0)
        is_pruned(judge, mirror, trial)
    assert rows.times_read == 1


class CountedRows(dict[int, float]):
    """Rows that know how often somebody went through them."""

    times_read = 0

    def __iter__(self) -> Iterator[int]:
        self.times_read += 1
        return super().__iter__()


def test_one_pruner_may_serve_several_studies() -> None:
    judge = pruner(min_iter=1)
    for direction, expected in [(StudyDirection.MINIMIZE, True), (StudyDirection.MAXIMIZE, False)]:
        mirror = open_mirror(direction)
        for _ in range(2):
            add_trial(mirror, [0.0])
        assert is_pruned(judge, mirror, add_trial(mirror, [1.0])) is expected
    mirror = open_mirror()
    assert not is_pruned(judge, mirror, add_trial(mirror, [1.0]))


def test_defaults_are_written_down() -> None:
    component = resolve_pruner(Component(NAME, {"min_iter": 4, "s": None}), n_objectives=1)
    assert component.args == {"min_iter": 4, "eta": 3, "strict": True}


@pytest.mark.parametrize(
    ("args", "field", "words"),
    [
        ({}, "pruner.args", "Give min_iter"),
        ({"eta": 2}, "pruner.args", "Give min_iter"),
        ({"max_iter": 9}, "pruner.args", "together with s"),
        ({"s": 9}, "pruner.args", "together with s"),
        ({"min_iter": 1, "s": 2}, "pruner.args", "not both"),
        ({"min_iter": 1, "max_iter": 9, "s": 2}, "pruner.args", "not both"),
        ({"max_iter": 2, "s": 2}, "pruner.args", "raise max_iter or lower eta"),
        ({"min_iter": 0}, "pruner.args.min_iter", "at least 1"),
        ({"min_iter": 1.5}, "pruner.args.min_iter", "an integer"),
        ({"max_iter": 0, "s": 1}, "pruner.args.max_iter", "at least 1"),
        ({"max_iter": 9, "s": 0}, "pruner.args.s", "at least 1"),
        ({"max_iter": 9, "s": 1_001}, "pruner.args.s", "at most 1000"),
        ({"min_iter": 1, "eta": 1}, "pruner.args", "greater than 1, not 1"),
        ({"min_iter": 1, "eta": 0.5}, "pruner.args.eta", "at least 1"),
        ({"min_iter": 1, "eta": 10**400}, "pruner.args.eta", "at most 1e+06"),
        ({"min_iter": 1, "strict": "yes"}, "pruner.args.strict", "true or false"),
        ({"min_iters": 1}, "pruner.args.min_iters", 'Did you mean "min_iter"'),
    ],
)
def test_arguments_are_refused_with_a_sentence(
    args: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(InvalidPruner) as caught:
        resolve_pruner(Component(NAME, args), n_objectives=1)
    first = caught.value.errors[0]
    assert first.field == field
    assert words in first.message


def test_it_is_named_next_to_optunas() -> None:
    with pytest.raises(InvalidPruner, match=f'Did you mean "{NAME}"'):
        resolve_pruner(Component("WandbHyperband"), n_objectives=1)
    with pytest.raises(InvalidPruner, match="several objectives"):
        resolve_pruner(Component(NAME, {"min_iter": 1}), n_objectives=2)


def test_numbers_without_bound_build_a_pruner() -> None:
    for args in ({"min_iter": 2**31, "eta": 1_000_000}, {"min_iter": 1, "eta": 1.000001}):
        mirror = open_mirror()
        assert not is_pruned(pruner(**args), mirror, add_trial(mirror, [1.0]))
