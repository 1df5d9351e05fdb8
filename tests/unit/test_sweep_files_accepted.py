"""Whatever sweep file is accepted can be created: no error is left for later."""

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.api.sweep_bodies import CreateSweepBody
from service.domain.errors import InvalidSweepFile
from service.engine.create import settle_study
from service.search_space import parse_space
from service.sweep_files import Defaults, convert_parameter, read_sweep_file
from service.sweep_files.wandb_distributions import DISTRIBUTIONS

NAMES = st.sampled_from(["lr", "n", "opt", "_x", "a-b", "value", "type", "low", "name"])
SCALARS = (
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text("abc", max_size=3)
)
CONSTANTS = st.recursive(
    SCALARS | st.lists(SCALARS, max_size=3),
    lambda inner: st.dictionaries(NAMES, inner, max_size=3) | st.lists(inner, max_size=2),
    max_leaves=4,
)


@st.composite
def ranges(draw: st.DrawFn, names: tuple[str, ...]) -> dict[str, Any]:
    """A range of one of these distributions, with what else may go with it."""
    kind = draw(st.sampled_from(names))
    form = DISTRIBUTIONS[kind]
    numbers = st.integers(-5, 20) if form.is_integral else st.integers(-5, 20) | st.floats(-5, 20)
    if form.is_positive:
        numbers = numbers.filter(lambda number: number > 0.001)
    low, high = sorted((draw(numbers), draw(numbers)))
    if low == high:
        high = low + 1
    quantum = {"q": draw(st.sampled_from([1, 2, 0.1, 0.25]))} if "q" in form.optional else {}
    return {"distribution": kind, "min": low, "max": high} | quantum


@st.composite
def laws(draw: st.DrawFn, names: tuple[str, ...]) -> dict[str, Any]:
    kind = draw(st.sampled_from(names))
    optional = set(DISTRIBUTIONS[kind].optional)
    numbers = {"mu": st.floats(-5, 5), "sigma": st.floats(0.1, 5), "q": st.sampled_from([1, 0.25])}
    numbers |= {"a": st.floats(0.1, 9), "b": st.integers(1, 9)}
    own = {key: each for key, each in numbers.items() if key in optional}
    return {"distribution": kind} | draw(st.fixed_dictionaries({}, optional=own))


FINITE = (
    st.builds(lambda value: {"value": value}, CONSTANTS)
    | st.lists(CONSTANTS, min_size=1, max_size=4).map(lambda values: {"values": values})
    | ranges(("int_uniform", "q_uniform"))
)
ENDLESS = (
    ranges(
        (
            *("uniform", "log_uniform_values", "inv_log_uniform_values", "log_uniform"),
            *("inv_log_uniform", "q_log_uniform_values", "q_log_uniform"),
        )
    )
    | st.lists(CONSTANTS, min_size=1, max_size=4).map(
        lambda values: {"values": values, "probabilities": [1 / len(values)] * len(values)}
    )
    | laws(("normal", "q_normal", "log_normal", "q_log_normal", "beta", "q_beta"))
)


def parameters(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    groups = st.dictionaries(NAMES, leaves, min_size=1, max_size=2).map(
        lambda inner: {"parameters": inner}
    )
    return st.dictionaries(NAMES, leaves | groups, min_size=1, max_size=4)


def sweeps(method: str, parameters: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    hyperband = st.fixed_dictionaries(
        {"type": st.just("hyperband")} | {"max_iter": st.integers(9, 81), "s": st.integers(1, 3)},
        optional={"eta": st.floats(1.5, 4) | st.integers(2, 4), "strict": st.booleans()},
    )
    metric = st.fixed_dictionaries(
        {"name": NAMES},
        optional={
            "goal": st.sampled_from(["minimize", "maximize"]),
            "target": st.integers(-9, 9) | st.floats(-9, 9),
            "impute": st.just("worst"),
        },
    )
    return st.fixed_dictionaries(
        {
            "method": st.just(method),
            "name": NAMES,
            "metric": metric,
            "parameters": parameters,
        },
        optional={
            "early_terminate": hyperband,
            "run_cap": st.integers(1, 1000),
            "description": st.text(max_size=9).filter(lambda text: text.isprintable()),
            "command": st.just(["${interpreter}", "${program}", "${args_json}"]),
            "timeout_seconds": st.integers(1, 100),
        },
    ).map(lambda sweep: {**sweep, "program": "train.py"})


SWEEPS = st.one_of(
    # Two, because a grid of more than 100,000 points is refused by its sampler.
    sweeps("grid", st.dictionaries(NAMES, FINITE, min_size=1, max_size=2)),
    *(sweeps(method, parameters(FINITE | ENDLESS)) for method in ("random", "bayes", "custom")),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SWEEPS)
def test_the_body_and_the_checks_of_creation_accept_it(sweep: dict[str, Any]) -> None:
    file = read_sweep_file(json.dumps(sweep))

    body = json.loads(json.dumps(file.document))
    settle_study(CreateSweepBody.model_validate(body).to_command(None))


@given(FINITE | ENDLESS)
def test_a_parameter_alone_makes_a_space(parameter: dict[str, Any]) -> None:
    parse_space({"x": convert_parameter(parameter)})


KEYS = st.sampled_from(
    [
        *("method", "metric", "metrics", "parameters", "early_terminate", "run_cap", "budget"),
        *("program", "command", "kind", "pruner", "space", "launch"),
        *("distribution", "value", "values", "min", "max", "q", "log", "step"),
        *("probabilities", "mu", "sigma", "a", "b"),
        *("name", "goal", "target", "type", "min_iter", "max_iter", "s", "eta"),
    ]
)
ANYTHING = st.recursive(
    SCALARS | st.sampled_from([*DISTRIBUTIONS, "grid", "custom", "hyperband", "a.b", "${args}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | NAMES, inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(parameter=ANYTHING, rest=st.dictionaries(KEYS, ANYTHING, max_size=4), method=st.booleans())
def test_whatever_is_in_a_file_is_accepted_or_refused(
    parameter: Any, rest: dict[str, Any], method: bool
) -> None:
    known = {"method": "random", "metric": {"name": "loss"}, "program": "train.py"}
    sweep = {"parameters": {"x": parameter}, **rest, **(known if method else {})}

    with suppress(InvalidSweepFile):
        read_sweep_file(json.dumps(sweep))


def list_examples() -> list[str]:
    text = (Path(__file__).parents[2] / "docs" / "sweep-files.md").read_text()
    return re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("example", list_examples())
def test_the_examples_of_the_docs_can_be_created(example: str) -> None:
    document = read_sweep_file(example, Defaults(name="any")).document

    settle_study(CreateSweepBody.model_validate(document).to_command(None))
