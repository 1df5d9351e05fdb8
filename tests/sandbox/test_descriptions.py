"""What a user file defines, found without taking any object out of its process."""

from typing import Any

import pytest

from service.domain.studies import Component
from service.sandbox import CustomPart, FileFailed, Sandbox, SweepFacts, UserFile
from service.sandbox.files import WaitingTrial
from tests.sandbox.test_search_spaces import PUBLISHED

MADE = "s = optuna.create_study()"


def test_published_example_is_described(sandbox: Sandbox) -> None:
    found = sandbox.describe(UserFile(PUBLISHED))
    assert found.functions == ("objective", "sampler", "pruner")
    assert found.has_search_space
    assert found.sampler == Component(
        "NSGAIISampler", {"population_size": 100, "crossover_prob": 0.2, "seed": 1000000}
    )
    assert found.pruner == Component(
        "PatientPruner", {"wrapped_pruner": {"type": "MedianPruner", "args": {}}, "patience": 1}
    )
    assert found.directions is None


@pytest.mark.parametrize(
    ("made", "document"),
    [
        ("TPESampler(n_startup_trials=5, group=True)", {"n_startup_trials": 5, "group": True}),
        ("CmaEsSampler({'x': 1.5})", {"x0": {"x": 1.5}}),
        ("GridSampler({'x': (1, 2)}, seed=None)", {"search_space": {"x": [1, 2]}, "seed": None}),
        (
            "PartialFixedSampler({'x': 1}, CmaEsSampler(independent_sampler=RandomSampler(3)))",
            {
                "fixed_params": {"x": 1},
                "base_sampler": {
                    "type": "CmaEsSampler",
                    "args": {"independent_sampler": {"type": "RandomSampler", "args": {"seed": 3}}},
                },
            },
        ),
        (
            "NSGAIIISampler(reference_points=np.eye(2), crossover=nsgaii.UniformCrossover(0.1))",
            {
                "reference_points": [[1.0, 0.0], [0.0, 1.0]],
                "crossover": {"type": "UniformCrossover", "args": {"swapping_prob": 0.1}},
            },
        ),
    ],
)
def test_stock_sampler_is_a_document(sandbox: Sandbox, made: str, document: Any) -> None:
    source = f"""
import numpy as np
from optuna.samplers import *
def sampler():
    return {made}
"""
    assert sandbox.describe(UserFile(source)).sampler == Component(made.split("(")[0], document)


@pytest.mark.parametrize(
    ("source", "kind", "reason"),
    [
        (
            "class Walk(optuna.samplers.RandomSampler): pass\ndef sampler(): return Walk()",
            "Walk",
            "Walk is not one of Optuna's own classes.",
        ),
        (
            "def sampler(): return optuna.samplers.TPESampler(gamma=lambda n: n)",
            "TPESampler",
            "Argument gamma of TPESampler cannot be said in JSON: a function or class",
        ),
        (
            "import copy\ndef sampler(): return copy.copy(optuna.samplers.TPESampler())",
            "TPESampler",
            "This TPESampler was not made by calling its class.",
        ),
        (
            "class Mine(optuna.samplers.RandomSampler): pass\n"
            "def sampler(): return optuna.samplers.PartialFixedSampler({}, Mine())",
            "PartialFixedSampler",
            "Argument base_sampler of PartialFixedSampler cannot be said in JSON: Mine is not",
        ),
    ],
)
def test_what_json_cannot_say_is_custom(
    sandbox: Sandbox, source: str, kind: str, reason: str
) -> None:
    found = sandbox.describe(UserFile(source)).sampler
    assert isinstance(found, CustomPart)
    assert found.type == kind
    assert found.reason.startswith(reason)


def test_study_comes_before_sampler_and_pruner(sandbox: Sandbox) -> None:
    source = """
import numpy as np
def sampler(): raise ValueError
def objective(trial):
    study = trial.study
    assert study.user_attrs["owner"][0] == "me" and study.metric_names == ["loss", "size"]
def study():
    made = optuna.create_study(
        directions=["minimize", "maximize"],
        sampler=optuna.samplers.QMCSampler(scramble=True),
    )
    made.set_metric_names(["loss", "size"])
    made.set_user_attr("owner", ("me", 2**70))
    made.enqueue_trial({"x": np.int64(1)})
    made.enqueue_trial({}, user_attrs={"why": "the paper's"})
    made.add_trial(optuna.trial.create_trial(values=[1, 2]))
    return made
"""
    found = sandbox.describe(UserFile(source))
    assert found.sampler == Component("QMCSampler", {"scramble": True})
    assert found.pruner == Component("MedianPruner", {})
    assert found.directions == ("minimize", "maximize")
    assert found.metric_names == ("loss", "size")
    assert found.user_attrs == {"owner": ["me", 2**70]}
    assert found.enqueued == (WaitingTrial({"x": 1}), WaitingTrial({}, {"why": "the paper's"}))
    assert found.notes == (
        "sampler() is not called: study() says sampler and pruner.",
        "1 trials of the study are not taken over.",
    )


def test_optimizer_gets_the_sweep_and_may_return_a_terminator(sandbox: Sandbox) -> None:
    source = """
def make(sweep):
    assert sweep.name == "mine"
    study = optuna.create_study(direction=sweep.config["metric"]["goal"])
    return study, lambda study: False
"""
    file = UserFile(source, optimizer="make")
    config = {"metric": {"goal": "maximize"}}
    found = sandbox.describe(file, sweep=SweepFacts(name="mine", config=config))
    assert found.functions == ("make",)
    assert found.has_terminator
    assert not found.has_search_space
    assert found.directions == ("maximize",)
    assert found.sampler == Component("TPESampler", {})


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (UserFile("x = 1"), "It defines none of objective"),
        (UserFile("def sampler(): return 1"), "returned a int, not one of Optuna's BaseSampler"),
        (
            UserFile("def pruner(): return optuna.pruners.NopPruner"),
            r"pruner\(\) returned the class NopPruner; call it: NopPruner\(\)",
        ),
        (UserFile("def study(): return 1"), "returned a int, not an optuna.Study"),
        (
            UserFile(f"def study():\n  {MADE}\n  s.no_such_thing()\n  return s"),
            "Line 3: AttributeError: 'Study' object has no attribute 'no_such_thing'",
        ),
        (UserFile("", sampler="mine"), r"It has no function mine\(\)"),
        (UserFile("def f(s): return 1", optimizer="f"), "f.sweep. returned a int. It has to"),
        (UserFile("def f(s): return 1, 2, 3", optimizer="f"), "returned a tuple of 3"),
        (
            UserFile("def f(s): return optuna.create_study(), 2", optimizer="f"),
            "The terminator of f.sweep. is a int, not a function",
        ),
        (UserFile("def objective(trial): 1 / 0"), "Line 1: ZeroDivisionError"),
        (UserFile("raise ValueError('no')"), "Line 1: ValueError: no"),
        (
            UserFile("def objective(trial): trial.set_user_attr('x' * 513, 1)"),
            'User attribute "x+": its name has 513 characters; 1 to 512 can be kept',
        ),
        (
            UserFile("def f(trial): return {'a': 2**60}", search_space="f"),
            "What it returned.a: Integers must lie",
        ),
        (
            UserFile(f"def study():\n  {MADE}\n  s.set_user_attr('a', {{1}})\n  return s"),
            "The study's user attribute a: a set cannot be kept",
        ),
        (
            UserFile(
                f"def study():\n  {MADE}\n  s.enqueue_trial({{'a': float('nan')}})\n  return s"
            ),
            "The value of an enqueued trial for a: nan cannot be kept",
        ),
    ],
)
def test_a_file_that_gives_the_wrong_thing_is_refused(
    sandbox: Sandbox, file: UserFile, reason: str
) -> None:
    with pytest.raises(FileFailed, match=reason):
        sandbox.describe(file)


def test_a_constraints_func_is_refused(sandbox: Sandbox) -> None:
    source = """
def sampler(): return optuna.samplers.TPESampler(constraints_func=lambda trial: (1.0,))
"""
    with pytest.raises(FileFailed, match=r"constraints_func .* trial\.set_constraint"):
        sandbox.describe(UserFile(source))
