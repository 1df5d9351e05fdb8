"""What an import makes of runs before anything is asked for: space, metrics, goals."""

from typing import Any

import pytest

from service.cli.failures import CannotStart
from service.cli.imports.found import Target
from service.cli.imports.guessing import guess_space
from service.cli.imports.wandb_runs import WandbPath
from service.cli.imports.wandb_space import RunSpace, choose_space, read_space
from service.cli.imports.wandb_wishes import WandbWishes, choose_objectives
from service.search_space import parse_space

PROJECT = WandbPath("acme", "mnist", None)
SWEEP = WandbPath("acme", "mnist", "s1")
OURS = Target("ours", {"loss": "minimize"})


@pytest.mark.parametrize(
    ("values", "entry"),
    [
        ([3, 3], {"value": 3}),
        (["a", "b", "a"], {"type": "categorical", "choices": ["a", "b"]}),
        ([True, False], {"type": "categorical", "choices": [True, False]}),
        ([1, None], {"type": "categorical", "choices": [1, None]}),
        ([8, 2, 4], {"type": "int", "low": 2, "high": 8, "log": False}),
        ([0.5, 2], {"type": "float", "low": 0.5, "high": 2, "log": False}),
        ([1e-5, 0.01], {"type": "float", "low": 1e-5, "high": 0.01, "log": True}),
        ([-1e-5, 0.01], {"type": "float", "low": -1e-5, "high": 0.01, "log": False}),
        ([0, 5000], {"type": "int", "low": 0, "high": 5000, "log": False}),
    ],
)
def test_guesses_a_space_from_what_there_was(values: list[Any], entry: dict[str, Any]) -> None:
    space, left_out = guess_space([{"opt": {"x": value}} for value in values])
    assert (space, left_out) == ({"opt.x": entry}, [])
    parse_space(space)


def test_guesses_nothing_for_what_is_not_of_all_runs() -> None:
    configs = [{"lr": 0.1, "tags": ["a"], "asktell": {"trial": 1}}, {"lr": 0.2, "tags": [], "k": 1}]
    space, left_out = guess_space(configs)
    assert list(space) == ["lr"]
    assert left_out == ["tags", "k"]


@pytest.mark.parametrize(
    ("metrics", "goals", "config", "existing", "expected"),
    [
        ((), (), {"metric": {"name": "a", "goal": "maximize"}}, None, {"a": "maximize"}),
        (
            (),
            (),
            {"metrics": [{"name": "a"}, {"name": "b"}]},
            None,
            dict.fromkeys("ab", "minimize"),
        ),
        (("a",), (), {}, None, {"a": "minimize"}),
        (("a",), ("maximize",), {}, None, {"a": "maximize"}),
        (("a",), (), {}, Target("ours", {"loss": "maximize"}), {"a": "maximize"}),
    ],
)
def test_chooses_objectives(
    metrics: tuple[str, ...],
    goals: tuple[str, ...],
    config: dict[str, Any],
    existing: Target | None,
    expected: dict[str, str],
) -> None:
    wishes = WandbWishes(metrics=metrics, goals=goals)
    assert choose_objectives(wishes, config, existing) == expected


@pytest.mark.parametrize(
    ("metrics", "goals", "config", "message"),
    [
        ((), (), {}, "Say with --metric"),
        (("a", "b"), ("minimize",), {}, "one --goal for each of a, b"),
        (("a", "b"), (), {}, r"has 1 objective\(s\), loss"),
        (("a",), ("maximize",), {}, "a is to maximize, but the study 'ours' is to minimize loss"),
        ((), (), {"metric": {"name": "a", "goal": "maximize"}}, "is to minimize loss"),
    ],
)
def test_refuses_objectives_that_are_not_the_studys(
    metrics: tuple[str, ...], goals: tuple[str, ...], config: dict[str, Any], message: str
) -> None:
    with pytest.raises(CannotStart, match=message):
        choose_objectives(WandbWishes(metrics=metrics, goals=goals), config, OURS)


def test_what_a_sweep_varies_has_to_fit_the_study_too() -> None:
    config = {
        "parameters": {
            "lr": {"min": 0.1, "max": 1.0},
            "opt": {"parameters": {"name": {"values": ["a"]}, "beta": {"value": 1}}},
        }
    }
    declared = Target("ours", {"loss": "minimize"}, {"lr": {"type": "float", "low": 0, "high": 1}})
    space = choose_space(SWEEP, config, declared, [], guesses=False)
    params = space.pick_params({"lr": 0.5, "opt": {"name": "a", "beta": 1}, "seed": 3})
    assert params == {"lr": 0.5, "opt.name": "a"}


def test_a_project_has_no_space_unless_one_is_guessed() -> None:
    configs = [{"lr": 0.1}, {"lr": 0.2}]
    with pytest.raises(CannotStart, match="project acme/mnist has no search space"):
        choose_space(PROJECT, {}, None, configs, guesses=False)
    space = choose_space(PROJECT, {}, OURS, configs, guesses=True)
    assert space.names == ["lr"]
    with pytest.raises(CannotStart, match="No space can be guessed: there is no scalar"):
        choose_space(PROJECT, {}, OURS, [{"a": 1}, {"b": 1}], guesses=True)
    with pytest.raises(CannotStart, match="No space can be guessed from the runs"):
        choose_space(PROJECT, {}, OURS, [{"": 1}, {"": 2}], guesses=True)


@pytest.mark.parametrize(
    "parameters",
    [
        None,
        {"asktell": {"parameters": {"study": {"value": "theirs"}}}},
        {"asktell": {"parameters": {"study": {"value": "theirs"}}}, "epochs": {"value": 3}},
    ],
)
def test_a_sweep_that_varies_nothing_leaves_the_parameters_to_the_study(
    parameters: dict[str, Any] | None,
) -> None:
    config = {"method": "custom", "parameters": parameters}
    with pytest.raises(CannotStart, match="sweep acme/mnist/s1 declares no search space"):
        choose_space(SWEEP, config, None, [], guesses=False)
    space = choose_space(SWEEP, config, OURS, [], guesses=False)
    picked = space.pick_params({"opt": {"lr": 1}, "asktell": {"trial": 0}, "tags": [1], "x": None})
    assert picked == {"opt.lr": 1, "x": None}
    assert space.list_distributions() is None


def test_our_labels_are_no_parameters() -> None:
    labels = {"parameters": {"study": {"value": "theirs"}}}
    config = {"parameters": {"asktell": labels, "lr": {"min": 0.0, "max": 1.0}}}
    assert list(read_space(config)) == ["lr"]


def test_a_declared_space_needs_no_guess() -> None:
    declared = Target("ours", {"loss": "minimize"}, {"lr": {"type": "float", "low": 0, "high": 1}})
    space = choose_space(SWEEP, {}, declared, [{"lr": 5.0}], guesses=True)
    assert space.document == declared.space
    assert space.notes == ["--guess-space has no effect: the study declares its space."]


def test_a_space_that_cannot_be_had_is_named() -> None:
    with pytest.raises(CannotStart, match=r"parameters.lr.min: .* --guess-space"):
        read_space({"method": "random", "parameters": {"lr": {"min": 2, "max": 1}}})
    with pytest.raises(CannotStart, match="Give the parameters by name"):
        read_space({"method": "custom", "scheduler": {"search_space": "space"}})


def test_trials_without_a_declared_space_bring_distributions_that_need_none() -> None:
    document = {"opt": {"lr": {"type": "float", "low": 0, "high": 1}}}
    assert RunSpace(document, ["opt.lr"]).list_distributions() == {"opt.lr": document["opt"]["lr"]}
    quantised = {"x": {"type": "float", "low": 0, "high": 1, "quantum": 0.5}}
    with pytest.raises(CannotStart, match="x cannot be a parameter of a study that declares no"):
        RunSpace(quantised, ["x"]).list_distributions()
