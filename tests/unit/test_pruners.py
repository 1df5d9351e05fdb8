"""What is stored for a pruner, every reason to refuse one, and "auto" resources."""

import json
import math
import random
from typing import Any

import optuna
import pytest
from optuna.pruners import HyperbandPruner, NopPruner, SuccessiveHalvingPruner
from optuna.trial import FrozenTrial, TrialState, create_trial

from service.domain.errors import InvalidPruner
from service.domain.studies import Component
from service.pruners import build_pruner, has_auto, resolve_auto, resolve_pruner

HALVING = {"type": "SuccessiveHalvingPruner"}


@pytest.fixture(autouse=True)
def _quiet_optuna() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def resolve(type_: str, args: dict[str, Any]) -> Component:
    component = resolve_pruner(Component(type_, args), n_objectives=1)
    assert resolve_pruner(component, n_objectives=1) == component
    assert json.loads(json.dumps(component.args)) == component.args
    return component


@pytest.mark.parametrize(
    ("type_", "args", "expected"),
    [
        ("NopPruner", {}, {}),
        (
            "MedianPruner",
            {"n_min_trials": None},
            {"n_startup_trials": 5, "n_warmup_steps": 0, "interval_steps": 1, "n_min_trials": 1},
        ),
        ("PercentilePruner", {"percentile": 25}, {"percentile": 25, "n_startup_trials": 5}),
        ("ThresholdPruner", {"upper": 1.5}, {"upper": 1.5, "interval_steps": 1}),
        ("WilcoxonPruner", {}, {"p_threshold": 0.1, "n_startup_steps": 2}),
        ("SuccessiveHalvingPruner", {}, {"min_resource": "auto", "reduction_factor": 4}),
        ("HyperbandPruner", {"max_resource": 9}, {"min_resource": 1, "max_resource": 9}),
        ("PatientPruner", {"patience": 3}, {"wrapped_pruner": None, "min_delta": 0.0}),
        (
            "PatientPruner",
            {"patience": 3, "wrapped_pruner": {"type": "ThresholdPruner", "args": {"lower": 0}}},
            {
                "wrapped_pruner": {
                    "type": "ThresholdPruner",
                    "args": {"lower": 0, "n_warmup_steps": 0, "interval_steps": 1},
                }
            },
        ),
    ],
)
def test_defaults_and_nested_pruners_are_written_down(
    type_: str, args: dict[str, Any], expected: dict[str, Any]
) -> None:
    found = resolve(type_, args)
    assert found.args | expected == found.args
    assert type(build_pruner(found)).__name__ == type_


def test_every_pruner_of_optuna_can_be_named() -> None:
    required = {
        "PatientPruner": {"patience": 1},
        "PercentilePruner": {"percentile": 50},
        "ThresholdPruner": {"lower": 0},
    }
    for name in set(optuna.pruners.__all__) - {"BasePruner"}:
        component = resolve(name, required.get(name, {}))
        assert type(build_pruner(component)) is getattr(optuna.pruners, name)


def test_no_pruner_never_prunes() -> None:
    assert isinstance(build_pruner(None), NopPruner)


@pytest.mark.parametrize(
    ("type_", "args", "field", "words"),
    [
        ("Median", {}, "pruner.type", 'Did you mean "MedianPruner"'),
        ("BasePruner", {}, "pruner.type", "Use one of"),
        ("NopPruner", {"x": 1}, "pruner.args.x", "takes no"),
        ("MedianPruner", {"n_startup": 1}, "pruner.args.n_startup", "n_startup_trials"),
        ("MedianPruner", {"n_startup_trials": "1"}, "pruner.args.n_startup_trials", "integer"),
        ("MedianPruner", {"n_startup_trials": -1}, "pruner.args", "cannot be negative"),
        ("PercentilePruner", {}, "pruner.args.percentile", "required"),
        ("PercentilePruner", {"percentile": 101}, "pruner.args", "between 0 and 100"),
        ("ThresholdPruner", {}, "pruner.args", "Either lower or upper"),
        ("ThresholdPruner", {"lower": 2, "upper": 1}, "pruner.args", "smaller than upper"),
        ("WilcoxonPruner", {"p_threshold": 2.0}, "pruner.args", "between 0 and 1"),
        ("SuccessiveHalvingPruner", {"min_resource": "x"}, "pruner.args", "'auto'"),
        ("SuccessiveHalvingPruner", {"min_resource": 0}, "pruner.args.min_resource", "at least 1"),
        ("SuccessiveHalvingPruner", {"bootstrap_count": 1}, "pruner.args", "incompatible"),
        ("HyperbandPruner", {"max_resource": "x"}, "pruner.args", "integer or 'auto'"),
        ("HyperbandPruner", {"min_resource": 0}, "pruner.args.min_resource", "at least 1"),
        ("HyperbandPruner", {"reduction_factor": 1}, "pruner.args.reduction_factor", "at least 2"),
        (
            "HyperbandPruner",
            {"min_resource": 4, "max_resource": 3},
            "pruner.args.max_resource",
            "min_resource",
        ),
        ("PatientPruner", {}, "pruner.args.patience", "required"),
        ("PatientPruner", {"patience": -1}, "pruner.args", "negative"),
        ("PatientPruner", {"patience": 1, "wrapped_pruner": 1}, "pruner.args.wrapped_pruner", "{"),
        (
            "PatientPruner",
            {"patience": 1, "wrapped_pruner": {"type": "MedianPruner", "args": {"n": 1}}},
            "pruner.args.wrapped_pruner.args.n",
            "no argument",
        ),
    ],
)
def test_a_pruner_is_refused_with_a_sentence(
    type_: str, args: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(InvalidPruner) as caught:
        resolve_pruner(Component(type_, args), n_objectives=1)
    first = caught.value.errors[0]
    assert first.field == field
    assert words in first.message


def test_pruners_nested_without_end_are_refused() -> None:
    document: dict[str, Any] = dict(HALVING)
    for _ in range(3000):
        args = {"patience": 1, "wrapped_pruner": document}
        document = {"type": "PatientPruner", "args": args}
    with pytest.raises(InvalidPruner, match="nested at most"):
        resolve_pruner(Component(document["type"], document["args"]), n_objectives=1)


def test_several_objectives_cannot_be_pruned() -> None:
    with pytest.raises(InvalidPruner, match="several objectives"):
        resolve_pruner(Component("MedianPruner"), n_objectives=2)
    assert resolve_pruner(Component("NopPruner"), n_objectives=2) == Component("NopPruner")


def completed(last_step: int | None) -> FrozenTrial:
    steps = {} if last_step is None else {0: 1.0, last_step: 0.5}
    return create_trial(value=1.0, intermediate_values=steps)


def test_auto_resources_wait_for_a_completed_trial_with_steps() -> None:
    component = resolve("HyperbandPruner", {})
    pruned = create_trial(state=TrialState.PRUNED, intermediate_values={7: 1.0})
    assert has_auto(component)
    assert resolve_auto(component, []) is None
    assert resolve_auto(component, [completed(None), pruned]) is None
    resolved = resolve_auto(component, [completed(4), pruned, completed(8)])
    assert resolved is not None
    assert resolved.args["max_resource"] == 9
    assert not has_auto(resolved)
    assert resolve_auto(resolved, [completed(100)]) == resolved


@pytest.mark.parametrize(("last_step", "min_resource"), [(5, 1), (250, 2)])
def test_auto_resources_inside_another_pruner_are_found(last_step: int, min_resource: int) -> None:
    component = resolve("PatientPruner", {"patience": 1, "wrapped_pruner": HALVING})
    assert has_auto(component)
    resolved = resolve_auto(component, [completed(last_step)])
    assert resolved is not None
    assert resolved.args["wrapped_pruner"]["args"]["min_resource"] == min_resource
    assert not has_auto(resolved)


@pytest.mark.parametrize(("n_steps", "name"), [(30, "HyperbandPruner"), (450, HALVING["type"])])
def test_resolved_resources_decide_as_optunas_own_would(n_steps: int, name: str) -> None:
    component = resolve(name, {})
    decisions: dict[str, list[bool]] = {"optuna": [], "resolved": []}
    for kind, found in decisions.items():
        study = optuna.create_study(study_name="s", sampler=optuna.samplers.RandomSampler(seed=1))
        study.pruner = build_pruner(component)
        for number in range(12):
            trial = study.ask()
            for step in range(0, n_steps, 10):
                trial.report(((number * 7) % 5) + 1 / (step + 1), step)
                found.append(bool(trial.should_prune()))
            study.tell(trial, float(number))
            ready = resolve_auto(component, study.get_trials(deepcopy=False))
            if kind == "resolved" and number == 0:
                assert ready is not None
                study.pruner = build_pruner(ready)
    assert any(decisions["optuna"])
    assert decisions["resolved"] == decisions["optuna"]
    assert isinstance(study.pruner, HyperbandPruner | SuccessiveHalvingPruner)


def test_wilcoxon_does_not_warn_about_what_it_cannot_compare() -> None:
    study = optuna.create_study(pruner=build_pruner(resolve("WilcoxonPruner", {})))
    study.tell(study.ask(), 0.0)
    trial = study.ask()
    trial.report(float("nan"), 0)
    assert not trial.should_prune()
    trial.report(1.0, 1)
    assert not trial.should_prune()


EXTREME = [math.inf, -math.inf, math.nan, 1e308, -1e308, 0.0, 1.0]
DECIDING = {
    "MedianPruner": {"n_startup_trials": 1},
    "PercentilePruner": {"percentile": 25, "n_startup_trials": 1},
    "ThresholdPruner": {"lower": -1.0, "upper": 1.0},
    "PatientPruner": {"patience": 1, "wrapped_pruner": HALVING},
    "SuccessiveHalvingPruner": {"min_resource": 1, "reduction_factor": 2},
    "HyperbandPruner": {"max_resource": 12, "reduction_factor": 2},
    "WilcoxonPruner": {"n_startup_steps": 1},
}


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize("name", DECIDING)
def test_a_decision_is_made_whatever_was_reported(name: str, direction: str) -> None:
    # The suite turns warnings into errors, so deciding without one is the assertion.
    draw = random.Random(1).choice
    study = optuna.create_study(
        study_name="s",
        direction=direction,
        sampler=optuna.samplers.RandomSampler(seed=1),
        pruner=build_pruner(resolve(name, DECIDING[name])),
    )
    for number in range(40):
        trial = study.ask()
        for step in sorted(draw([(0, 1, 2, 3), (1, 2, 5, 9), (0, 2**31 - 1)])):
            trial.report(draw(EXTREME), step)
            trial.should_prune()
        if number % 3:
            study.tell(trial, 1.0 if number == 1 else draw(EXTREME[:2] + EXTREME[3:]))
        else:
            study.tell(trial, state=TrialState.PRUNED)
