"""Search spaces of user files: what they may ask, and how they fail."""

from collections.abc import Mapping
from typing import Any

import pytest

from service.sandbox import (
    FileFailed,
    Sandbox,
    SearchSpaceRun,
    StudyFacts,
    SuggestRefused,
    UserFile,
)
from tests.sandbox.conftest import LIMITS

# As W&B's launch scheduler documents it: optuna is never imported, and each branch has other
# choices for one name.
PUBLISHED = """
def objective(trial):
    database = trial.suggest_categorical('database', ['small', 'medium', 'large'])

    if database in ['small', 'large']:
        batch_size = trial.suggest_categorical('batch_size', [16, 32, 64])

        # maybe test randomization when the batch_size is small
        randomize = trial.suggest_categorical('randomize', [True, False])
    else:
        batch_size = trial.suggest_categorical('batch_size', [64, 128, 256])

    return -1


def sampler():
    return optuna.samplers.NSGAIISampler(
        population_size=100,
        crossover_prob=0.2,
        seed=1000000,
    )


def pruner():
    return optuna.pruners.PatientPruner(
        optuna.pruners.MedianPruner(), patience=1
    )
"""


class Answers:
    """Gives the values it was made with, and the first or lowest for every other name."""

    def __init__(self, **values: Any) -> None:
        self._values = values
        self.asked: list[tuple[str, Mapping[str, Any]]] = []

    def __call__(self, name: str, document: Mapping[str, Any]) -> Any:
        self.asked.append((name, document))
        lowest = document["choices"][0] if "choices" in document else document["low"]
        return self._values.get(name, lowest)


def run(sandbox: Sandbox, body: str, answers: Answers | None = None) -> SearchSpaceRun:
    """Run `body`, lines of one function with a `trial`."""
    source = "def objective(trial):\n" + "".join(f"    {line}\n" for line in body.splitlines())
    return sandbox.run_objective(UserFile(source, "space.py"), 7, answers or Answers())


@pytest.mark.parametrize(
    ("database", "choices", "names"),
    [
        ("large", [16, 32, 64], ["database", "batch_size", "randomize"]),
        ("medium", [64, 128, 256], ["database", "batch_size"]),
    ],
)
def test_published_example_asks_what_its_branch_has(
    sandbox: Sandbox, database: str, choices: list[int], names: list[str]
) -> None:
    answers = Answers(database=database, batch_size=64)
    found = sandbox.run_objective(UserFile(PUBLISHED), 0, answers)
    assert [name for name, _ in answers.asked] == names
    assert answers.asked[1] == ("batch_size", {"type": "categorical", "choices": choices})
    assert found.params["batch_size"] == 64


def test_conditions_may_be_nested(sandbox: Sandbox) -> None:
    body = """if trial.suggest_categorical("a", [1, 2]) == 2:
    if trial.suggest_int("b", 0, 9) > 4:
        trial.suggest_float("c", 0, 1)
    else:
        trial.suggest_float("d", 0, 1)"""
    assert run(sandbox, body, Answers(a=2, b=5)).params == {"a": 2, "b": 5, "c": 0.0}
    assert run(sandbox, body, Answers(a=2, b=4)).params == {"a": 2, "b": 4, "d": 0.0}
    assert run(sandbox, body, Answers()).params == {"a": 1}


def test_every_kind_of_suggestion_says_its_distribution(sandbox: Sandbox) -> None:
    answers = Answers()
    run(
        sandbox,
        """import numpy as np
trial.suggest_float("float", np.float64(0.1), 1, log=True)
trial.suggest_float("steps", 0, 1, step=0.25)
trial.suggest_int("int", 1, np.int64(9), step=2)
trial.suggest_uniform("uniform", 0, 1)
trial.suggest_loguniform("loguniform", 1, 2)
trial.suggest_discrete_uniform("discrete", 0, 1, 0.5)
trial.suggest_categorical("choice", (np.str_("a"), None, np.float32(0.5)))""",
        answers,
    )
    no_step: dict[str, Any] = {"log": False, "step": None}
    assert dict(answers.asked) == {
        "float": {"type": "float", "low": 0.1, "high": 1.0, "log": True, "step": None},
        "steps": {"type": "float", "low": 0.0, "high": 1.0, "log": False, "step": 0.25},
        "int": {"type": "int", "low": 1, "high": 9, "log": False, "step": 2},
        "uniform": {"type": "float", "low": 0.0, "high": 1.0, **no_step},
        "loguniform": {"type": "float", "low": 1.0, "high": 2.0, "log": True, "step": None},
        "discrete": {"type": "float", "low": 0.0, "high": 1.0, "log": False, "step": 0.5},
        "choice": {"type": "categorical", "choices": ["a", None, 0.5]},
    }


def test_threads_may_suggest_at_once(sandbox: Sandbox) -> None:
    names = [f"x{number}" for number in range(8)]
    answers = Answers(**{name: number for number, name in enumerate(names)})
    body = f"""from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
start = Barrier(8)
def suggest(name):
    start.wait()
    return trial.suggest_int(name, 0, 9)
with ThreadPoolExecutor(8) as threads:
    print(list(threads.map(suggest, {names})))"""
    assert run(sandbox, body, answers).output == str(list(range(8)))


def test_a_byte_order_mark_is_left_out(sandbox: Sandbox) -> None:
    sandbox.run_objective(UserFile("\ufeffdef objective(trial): pass"), 0, Answers())


def test_a_name_is_asked_once(sandbox: Sandbox) -> None:
    answers = Answers(x=0.25)
    body = "assert trial.suggest_float('x', 0, 1) == trial.suggest_float('x', 0, 2) == 0.25"
    assert run(sandbox, body, answers).params == {"x": 0.25}
    assert len(answers.asked) == 1


def test_trial_and_study_say_what_they_are(sandbox: Sandbox) -> None:
    source = """
def objective(trial):
    assert isinstance(trial, optuna.Trial)
    trial.suggest_int("n", 0, 3)
    assert trial.number == 7 and trial.params == {"n": 2}
    assert trial.distributions["n"].high == 3
    trial.set_user_attr("sizes", (1, 2))
    trial.set_user_attr("large", [2**53 + 1, 10**400])
    assert trial.user_attrs["sizes"] == (1, 2)
    trial.set_constraint("memory", -1)
    trial.report(0.5, 1)
    assert not trial.should_prune()
    study = trial.study
    assert study.study_name == "digits" and study.user_attrs == {"owner": "me"}
    assert [each.name for each in study.directions] == ["MINIMIZE", "MAXIMIZE"]
    assert study.metric_names == ["loss", "size"]
    print("seen")
"""
    facts = StudyFacts("digits", ("minimize", "maximize"), ("loss", "size"), {"owner": "me"})
    found = sandbox.run_objective(UserFile(source), 7, Answers(n=2), study=facts)
    assert found == SearchSpaceRun(
        {"n": 2},
        None,
        {"sizes": [1, 2], "large": [2**53 + 1, 10**400]},
        {"memory": -1.0},
        output="seen",
    )


def test_named_search_space_returns_the_values_of_the_run(sandbox: Sandbox) -> None:
    file = UserFile(
        "def space(trial):\n    return {'lr': trial.suggest_float('lr', 0, 1), 'epochs': 3}",
        search_space="space",
    )
    found = sandbox.run_objective(file, 0, Answers(lr=0.5))
    assert (found.params, found.config) == ({"lr": 0.5}, {"lr": 0.5, "epochs": 3})


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("x = 1\nraise KeyError('lr')", "space.py: Line 3: KeyError: 'lr'"),
        ("raise optuna.TrialPruned", "Line 2: TrialPruned: A search space has nothing to prune"),
        ("trial.suggest_float('x', 2, 1)", "Line 2: ValueError: .*low <= high"),
        ("trial.suggest_int('x', 0, 2**60)", "Line 2: ValueError: x: Integers must lie between"),
        (
            "trial.suggest_float(3, 0, 1)",
            "Line 2: TypeError: The name of a parameter is a string, n",
        ),
        ("trial.suggest_float('a ∈ b', 0, 1)", "Line 2: ValueError: A parameter's name must not c"),
        ("trial.suggest_float('', 0, 1)", "Line 2: ValueError: .*must be a string that is not"),
        (
            "trial.suggest_categorical('x', [print])",
            r"Line 2: .* function or class \(print\)",
        ),
        ("trial.set_user_attr('x', {1})", "User attribute x: a set cannot be kept"),
        ("trial.set_user_attr('x', '\\0')", "text that cannot be kept"),
        ("trial.set_user_attr('x', float('nan'))", "User attribute x: nan cannot be kept"),
        ("trial.set_user_attr('x', [10**5000])", "x: an integer beyond 2\\*\\*14000 cannot be"),
        ("trial.set_user_attr('', 1)", 'User attribute "": its name has 0 characters; 1 to 512'),
        ("trial.set_constraint('k' * 600, 1)", 'Constraint "k+": its name has 600 characters'),
        ("trial.set_user_attr('\\0', 1)", "text that cannot be kept"),
        ("trial.set_user_attr(chr(0xD800), 1)", "text that cannot be kept"),
        ("raise SystemExit(3)", "Line 2: SystemExit: 3"),
        ("print('on my way')\n1 / 0", "ZeroDivisionError: division by zero It had printed: on my"),
        ("raise ValueError('\\0' + chr(0xD800))", r"ValueError: \\x00\\ud800"),
        ("return trial.missing", "Line 2: AttributeError: "),
        ("(", r"Line 2: SyntaxError: '\(' was never closed"),
    ],
)
def test_failure_names_the_line_and_what_was_raised(
    sandbox: Sandbox, body: str, reason: str
) -> None:
    with pytest.raises(FileFailed, match=reason):
        run(sandbox, body)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (UserFile("x = 1"), r"It has no function objective\(trial\)"),
        (
            UserFile("objective = 1"),
            r"objective is a int; write a function: def objective\(trial\)",
        ),
        (
            UserFile("def objective(trial): yield trial.suggest_float('x', 0, 1)"),
            r"objective is a generator, as it has a yield; write a plain function: def obj",
        ),
        (UserFile("async def objective(trial): pass"), "objective is an async function; write"),
        (UserFile("async def objective(trial): yield"), "objective is an async function; write"),
        (
            UserFile("def f(trial): return {'a': {'b': 1}, 'a.b': 2}", search_space="f"),
            r'It returned two values for "a\.b"; leave one out',
        ),
        (
            UserFile("def f(trial): return {'a': {'b': 10**400}}", search_space="f"),
            r"What it returned\.a\.b: Integers must lie between",
        ),
        (UserFile("def objective(): pass"), r"cannot be called as objective\(trial\)"),
        (UserFile("def f(trial): pass", search_space="f"), "returned a NoneType; it has to return"),
        (UserFile("#" * 300_000), "has 300000 bytes; a user file may have 262144"),
    ],
)
def test_a_file_that_is_no_search_space_is_refused(
    sandbox: Sandbox, file: UserFile, reason: str
) -> None:
    with pytest.raises(FileFailed, match=reason):
        sandbox.run_objective(file, 0, Answers())


def test_a_refused_suggestion_is_raised_in_the_file(sandbox: Sandbox) -> None:
    def refuse(name: str, _: Mapping[str, Any]) -> Any:
        raise SuggestRefused(f"{name} was suggested with another range before.")

    source = "def objective(trial):\n    trial.suggest_float('x', 0, 1)"
    with pytest.raises(FileFailed, match="Line 2: ValueError: x was suggested with another range"):
        sandbox.run_objective(UserFile(source), 0, refuse)


@pytest.mark.usefixtures("nothing_left")
def test_what_else_a_suggestion_raises_comes_out_as_it_is(sandbox: Sandbox) -> None:
    def break_down(_name: str, _document: Mapping[str, Any]) -> Any:
        raise LookupError("the study is gone")

    source = "def objective(trial):\n    trial.suggest_float('x', 0, 1)"
    with pytest.raises(LookupError, match="the study is gone"):
        sandbox.run_objective(UserFile(source), 0, break_down)


@pytest.mark.parametrize(
    ("line", "value", "reason"),
    [
        ("trial.suggest_categorical('x', [True, 'a'])", 1, "1 is none of its choices"),
        ("trial.suggest_categorical('x', [1, 'a'])", True, "true is none of its choices"),
        ("trial.suggest_categorical('x', ['a'])", float("nan"), "nan is none of its choices"),
        ("trial.suggest_float('x', 0, 1)", None, "This must be a number, not null"),
    ],
)
def test_a_value_that_does_not_fit_fails_the_file(
    sandbox: Sandbox, line: str, value: Any, reason: str
) -> None:
    with pytest.raises(FileFailed, match=f'"x" cannot have the value that was chosen.*{reason}'):
        run(sandbox, line, Answers(x=value))


def test_a_choice_is_found_by_what_it_is_in_json(sandbox: Sandbox) -> None:
    run(sandbox, "print(trial.suggest_categorical('x', [1.0]))", Answers(x=1))


def test_modules_of_python_and_its_packages_can_be_imported(sandbox: Sandbox) -> None:
    run(sandbox, "import decimal, statistics, wave, numpy.linalg, scipy.special")


def test_as_many_suggestions_as_allowed_are_answered(sandbox: Sandbox) -> None:
    body = f"for i in range({LIMITS.messages}): trial.suggest_int(f'x{{i}}', 0, 1)"
    assert len(run(sandbox, body).params) == LIMITS.messages
