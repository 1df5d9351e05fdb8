"""Sweep files: what each key becomes, where it came from, and what the user is told."""

import json
import math
from typing import Any

import pytest

from service.api.bodies import ComponentBody
from service.api.launch_bodies import ProcessLaunchBody, WandbLaunchBody, WandbQueueLaunchBody
from service.api.study_bodies import ObjectiveBody, RetryBody
from service.api.sweep_bodies import CreateSweepBody, SweepBudgetBody
from service.domain.commands import MACROS, find_macro_problem
from service.domain.errors import FieldError, InvalidSweepFile
from service.schedulers.executors.process.commands import CommandContext, build_command
from service.sweep_files import Defaults, Dialect, SweepFile, convert_parameter, read_sweep_file
from service.sweep_files.body_parts import KEYS_OF_OBJECTIVE, KEYS_OF_PARTS
from service.sweep_files.documents import MAX_BYTES, MAX_PARTS
from service.sweep_files.launches import KEYS_OF_EXECUTORS
from service.sweep_files.native import KEYS

SMALLEST = """method: random
metric: {name: loss}
program: train.py
parameters:
  n: {values: [1, 2]}
"""
LARGE = """# Everything at once.
apiVersion: v1
kind: sweep
method: bayes
name: 2026-01
description: on
entity: us
project: them
controller: {type: local}
metric: {name: accuracy, goal: maximize, target: 0.99, impute: latest}
run_cap: 20
early_terminate:
  type: hyperband
  max_iter: 27
  s: 2.0
program: train.py
command: ["${env}", python, "${program}", --lr0, 1e-5, 5, "${args}", "--home=${envvar:HOME}"]
parallelism: 4
seed: 7
lease_seconds: 60
retry: {max_attempts: 2}
budget: {max_failures: 3}
queue: gpu
timeout_seconds: 3600
stop_seconds: 5
directory: /srv/train
step_metric: epoch
parameters:
  n: {values: [1, 2]}
"""


def read_parameters(text: str, method: str = "random") -> SweepFile:
    head = f"method: {method}\nmetric: {{name: loss}}\nprogram: train.py\nparameters:\n"
    return read_sweep_file(head + text)


def refusals(text: str) -> dict[str, str]:
    with pytest.raises(InvalidSweepFile) as caught:
        read_sweep_file(text)
    return {error.field: error.message for error in caught.value.errors}


def test_the_smallest_sweep() -> None:
    assert read_sweep_file(SMALLEST).document == {
        "sampler": {"type": "RandomSampler"},
        "objectives": [{"name": "loss", "direction": "minimize"}],
        "space": {"n": {"type": "categorical", "choices": [1, 2]}},
        "launch": {"executor": "process", "program": "train.py"},
    }


def test_everything_at_once() -> None:
    file = read_sweep_file(LARGE)

    assert file.dialect is Dialect.WANDB
    assert file.document == {
        "name": "2026-01",
        "user_attrs": {"description": "on"},
        "sampler": {
            "type": "ImputingSampler",
            "args": {"base_sampler": {"type": "TPESampler"}, "failed": "latest"},
        },
        "objectives": [{"name": "accuracy", "direction": "maximize"}],
        "budget": {"target": 0.99, "max_failures": 3, "max_trials": 20},
        "space": {"n": {"type": "categorical", "choices": [1, 2]}},
        "pruner": {
            "type": "WandbHyperbandPruner",
            "args": {"max_iter": 27, "s": 2, "eta": 3, "strict": True},
        },
        "parallelism": 4,
        "seed": 7,
        "lease_seconds": 60,
        "retry": {"max_attempts": 2},
        "launch": {
            "executor": "process",
            "program": "train.py",
            "command": [
                "${env}",
                "python",
                "${program}",
                "--lr0",
                "1e-5",
                "5",
                "${args}",
                "--home=${envvar:HOME}",
            ],
            "queue": "gpu",
            "timeout_seconds": 3600,
            "stop_seconds": 5,
            "directory": "/srv/train",
            "step_metric": "epoch",
        },
    }
    assert [note.partition(":")[0] for note in file.notes] == [
        f"line {n}" for n in (2, 3, 4, 7, 8, 9)
    ]
    CreateSweepBody.model_validate(file.document)


@pytest.mark.parametrize(
    ("keys", "args", "note"),
    [
        ("min_iter: 3, eta: 2", {"min_iter": 3, "eta": 2}, None),
        ("max_iter: 9, s: 2, min_iter: 3", {"max_iter": 9, "s": 2, "eta": 3}, "min_iter"),
        ("min_iter: 3, s: 2", {"min_iter": 3, "eta": 3}, "s has no effect without max_iter"),
    ],
)
def test_hyperband_takes_what_wandb_takes(
    keys: str, args: dict[str, Any], note: str | None
) -> None:
    file = read_sweep_file(SMALLEST + f"early_terminate: {{type: hyperband, {keys}}}\n")

    assert file.document["pruner"]["args"] == {**args, "strict": True}
    assert len(file.notes) == (note is not None)
    assert (note or "") in "".join(file.notes)


@pytest.mark.parametrize(
    ("parameter", "entry"),
    [
        ({"value": 0}, {"value": 0}),
        ({"value": None, "distribution": "constant"}, {"value": None}),
        ({"value": [1, "a"]}, {"value": [1, "a"]}),
        ({"value": {"a": {"b": 1}, "c": [2]}}, {"a": {"b": {"value": 1}}, "c": {"value": [2]}}),
        ({"values": [1, "a", None]}, {"type": "categorical", "choices": [1, "a", None]}),
        ({"min": -5, "max": 0}, {"type": "int", "low": -5, "high": 0}),
        ({"min": 0, "max": 1.5}, {"type": "float", "low": 0, "high": 1.5}),
        (
            {"min": 0, "max": 1, "distribution": "uniform"},
            {"type": "float", "low": 0, "high": 1},
        ),
        (
            {"min": 1, "max": 9, "log": True},
            {"type": "int", "low": 1, "high": 9, "log": True},
        ),
        (
            {"min": 0.0, "max": 1.0, "step": 0.1},
            {"type": "float", "low": 0.0, "high": 1.0, "step": 0.1},
        ),
        (
            {"min": 1e-3, "max": 1, "distribution": "log_uniform_values"},
            {"type": "float", "low": 1e-3, "high": 1, "log": True},
        ),
        (
            {"min": 1e-3, "max": 1, "distribution": "inv_log_uniform_values"},
            {"type": "float", "low": 1e-3, "high": 1, "log": True},
        ),
        (
            {"min": -2, "max": 1, "distribution": "log_uniform"},
            {"type": "float", "low": math.exp(-2), "high": math.e, "log": True},
        ),
        (
            {"min": -2, "max": 1, "distribution": "inv_log_uniform"},
            {"type": "float", "low": math.exp(-1), "high": math.exp(2), "log": True},
        ),
        (
            {"min": 1, "max": 10, "q": 5, "distribution": "q_uniform"},
            {"type": "float", "low": 1, "high": 10, "quantum": 5},
        ),
        (
            {"min": 1, "max": 10, "distribution": "q_uniform"},
            {"type": "float", "low": 1, "high": 10, "quantum": 1.0},
        ),
        (
            {"min": 1, "max": 10, "q": 2, "distribution": "q_log_uniform_values"},
            {"type": "float", "low": 1, "high": 10, "log": True, "quantum": 2},
        ),
        (
            {"min": -2, "max": 1, "distribution": "q_log_uniform"},
            {"type": "float", "low": math.exp(-2), "high": math.e, "log": True, "quantum": 1.0},
        ),
        ({"distribution": "normal", "mu": 1}, {"type": "normal", "mu": 1}),
        ({"distribution": "q_normal"}, {"type": "normal", "quantum": 1.0}),
        (
            {"distribution": "log_normal", "mu": 1, "sigma": 2},
            {"type": "log_normal", "mu": 1, "sigma": 2},
        ),
        (
            {"distribution": "q_log_normal", "q": 2},
            {"type": "log_normal", "quantum": 2},
        ),
        ({"distribution": "beta", "b": 5}, {"type": "beta", "b": 5}),
        ({"distribution": "q_beta", "q": 0.1}, {"type": "beta", "quantum": 0.1}),
        (
            {"values": ["a", 2], "probabilities": [0.1, 0.9]},
            {"type": "categorical", "choices": ["a", 2], "probabilities": [0.1, 0.9]},
        ),
        (
            {"values": [[1], {"b": {}}, 1, True]},
            {"type": "categorical", "choices": [[1], {"b": {}}, 1, True]},
        ),
        ({"value": {}}, {"type": "categorical", "choices": [{}]}),
        ({"value": {"a.b": [{}]}}, {"type": "categorical", "choices": [{"a.b": [{}]}]}),
        (
            {"parameters": {"a": {"value": 1}, "b": {"parameters": {"c": {"min": 1, "max": 2}}}}},
            {"a": {"value": 1}, "b": {"c": {"type": "int", "low": 1, "high": 2}}},
        ),
    ],
)
def test_a_parameter_becomes_an_entry(parameter: Any, entry: Any) -> None:
    assert convert_parameter(parameter) == entry


@pytest.mark.parametrize(
    ("parameter", "entry"),
    [
        ("{min: 1, max: 10, q: 5}", {"type": "int", "low": 1, "high": 6, "step": 5}),
        ("{min: 0, max: 10, q: 5}", {"type": "int", "low": 0, "high": 5, "step": 5}),
        ("{min: 0, max: 1, q: 0.25}", {"type": "float", "low": 0, "high": 0.75, "step": 0.25}),
        ("{min: 0.5, max: 3}", {"type": "float", "low": 0.5, "high": 2.5, "step": 1.0}),
    ],
)
def test_a_grid_visits_what_wandb_visits(parameter: str, entry: Any) -> None:
    text = f"  x: {{distribution: q_uniform, {parameter.strip('{}')}}}\n"

    file = read_parameters(text, method="grid")

    assert file.document["space"] == {"x": entry}
    assert file.document["sampler"] == {"type": "GridSampler"}


def test_a_grid_visits_equal_values_once() -> None:
    file = read_parameters("  x: {values: [1, a, 1.0, true, [2], [2.0]]}\n", method="grid")

    assert file.document["space"]["x"]["choices"] == [1, "a", True, [2]]
    assert file.notes == ("line 5: The grid visits values that are equal once, as in W&B.",)


def test_a_grid_of_one_point_has_one_trial() -> None:
    document = read_parameters("  a: {value: 1}\n  b: {values: [x]}\n", method="grid").document

    assert document["sampler"] == {"type": "RandomSampler"}
    assert document["budget"] == {"max_trials": 1}


@pytest.mark.parametrize(
    ("method", "sampler"),
    [
        ("grid", {"type": "GridSampler"}),
        ("random", {"type": "RandomSampler"}),
        ("bayes", {"type": "TPESampler"}),
        ("custom", None),
        ("custom\nsampler: {type: CmaEsSampler}", {"type": "CmaEsSampler"}),
    ],
)
def test_a_method_is_a_sampler(method: str, sampler: Any) -> None:
    document = read_sweep_file(SMALLEST.replace("random", method)).document

    assert document.get("sampler") == sampler


@pytest.mark.parametrize(
    ("has_gp", "parameter", "sampler", "note"),
    [
        (True, "{min: 1, max: 1000000}", "GPSampler", "as the server has torch"),
        (True, "{min: 0, max: 4294967295}", "TPESampler", "n has more values than GPSampler"),
        (True, "{min: 0.0, max: 4294967295}", "GPSampler", "as the server has torch"),
        (False, "{min: 0, max: 4294967295}", "TPESampler", "as the server has no torch"),
        (None, "{min: 1, max: 4}", "TPESampler", "A server that reads it takes GPSampler"),
    ],
)
@pytest.mark.parametrize("impute", ["", ", impute: worst"])
def test_the_method_bayes_is_a_gaussian_process_where_there_can_be_one(
    has_gp: bool | None, parameter: str, sampler: str, note: str, impute: str
) -> None:
    text = SMALLEST.replace("random", "bayes").replace("{values: [1, 2]}", parameter)

    file = read_sweep_file(text.replace("loss", f"loss{impute}"), Defaults(has_gp=has_gp))

    found = file.document["sampler"]
    assert (found["args"]["base_sampler"] if impute else found) == {"type": sampler}
    (told,) = (each for each in file.notes if "method bayes" in each)
    assert told.startswith(f"line 1: The method bayes is Optuna's {sampler}")
    assert note in told


def test_several_metrics_are_several_objectives() -> None:
    text = SMALLEST.replace("random", "custom").replace(
        "metric: {name: loss}", "metrics: [{name: loss}, {name: size, goal: maximize}]"
    )

    assert read_sweep_file(text).document["objectives"] == [
        {"name": "loss", "direction": "minimize"},
        {"name": "size", "direction": "maximize"},
    ]


@pytest.mark.parametrize(
    ("keys", "budget"),
    [
        ("budget: null", {"max_failures": None}),
        ("budget: null\nrun_cap: 5", {"max_failures": None, "max_trials": 5}),
        ("budget: {}", None),
    ],
)
def test_no_budget_is_no_limit(keys: str, budget: Any) -> None:
    document = read_sweep_file(SMALLEST + keys).document

    assert document.get("budget") == budget
    body = CreateSweepBody.model_validate({"name": "a"} | document)
    assert body.budget is not None
    assert body.budget.max_failures == (10 if budget is None else None)


@pytest.mark.parametrize(
    "text",
    [
        f"{SMALLEST}executor: wandb\nwandb: {{sweep: true}}\n",
        "objectives: [{name: loss, direction: minimize}]\n"
        "launch: {executor: wandb, program: train.py, sweep: true}\n",
    ],
)
def test_sweep_on_wandb_for_offline_runs_is_none(text: str) -> None:
    (note,) = read_sweep_file(text, Defaults(mode="offline")).notes
    assert "have no sweep on W&B, so this has no effect" in note
    assert not read_sweep_file(text).notes


@pytest.mark.parametrize("key", ["queue", "directory", "timeout_seconds", "stop_seconds"])
def test_null_is_said_to_whoever_takes_the_body(key: str) -> None:
    assert read_sweep_file(f"{SMALLEST}{key}: null\n").document["launch"][key] is None


@pytest.mark.parametrize(
    "keys",
    [
        "program: train.py\nexecutor: wandb-agent\n",
        "job: acme/digits/train:v1\nproject: digits\nlaunch: {queue: gpu}\n",
    ],
)
def test_how_long_a_run_may_take_to_begin(keys: str) -> None:
    sweep = SMALLEST.replace("program: train.py\n", keys)
    text = f"{sweep}wandb: {{start_timeout_seconds: 900}}\n"
    assert read_sweep_file(text).document["launch"]["start_timeout_seconds"] == 900


def test_what_the_file_leaves_open_is_filled_in() -> None:
    named = SMALLEST + "name: mine\ndirectory: /srv\n"

    open_ = read_sweep_file(SMALLEST, Defaults(name="given", directory="/home"))
    closed = read_sweep_file(named, Defaults(name="given", directory="/home"))

    assert (open_.name, open_.document["launch"]["directory"]) == ("given", "/home")
    assert (closed.name, closed.document["launch"]["directory"]) == ("mine", "/srv")
    assert read_sweep_file(SMALLEST).name is None


def test_errors_about_the_document_find_their_lines() -> None:
    text = SMALLEST + (
        "  lr: {min: 0.1, max: 1.0}\n"
        "  opt:\n"
        "    parameters:\n"
        "      name:\n"
        "        values: [adam, sgd]\n"
        "  space: {value: 1}\n"
        "run_cap: 5\n"
        "budget: {patience: 3}\n"
        "early_terminate: {type: hyperband, min_iter: 3}\n"
    )
    file = read_sweep_file(text)

    found = {
        path: (place.key, place.line) if place else None
        for path in (
            "lr.low",
            "space.lr.step",
            "opt.name.choices.1",
            "space.space",
            "budget.max_trials",
            "budget.patience",
            "pruner.args.eta",
            "sampler.args.search_space.n",
            "objectives.0.name",
            "launch.program",
            "seed",
        )
        for place in [file.find_place(path)]
    }
    assert found == {
        "lr.low": ("parameters.lr.min", 6),
        "space.lr.step": ("parameters.lr", 6),
        "opt.name.choices.1": ("parameters.opt.parameters.name.values.1", 10),
        "space.space": ("parameters.space", 11),
        "budget.max_trials": ("run_cap", 12),
        "budget.patience": ("budget.patience", 13),
        "pruner.args.eta": ("early_terminate.eta", 14),
        "sampler.args.search_space.n": ("method", 1),
        "objectives.0.name": ("metric.name", 2),
        "launch.program": ("program", 3),
        "seed": None,
    }
    assert file.find_line("lr.low") == 6
    assert file.find_line("seed") is None


def test_our_own_form_is_the_body_itself() -> None:
    body = {
        "name": "digits",
        "objectives": [{"name": "accuracy", "direction": "maximize"}],
        "space": {"lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": True}},
        "launch": {"program": "train.py", "command": ["python", "${program}", "1e5"]},
    }
    for text in (json.dumps(body), json.dumps(body, indent="\t")):
        file = read_sweep_file(text)

        assert file.document == body
        assert (file.dialect, file.notes) == (Dialect.NATIVE, ())
        CreateSweepBody.model_validate(file.document)
    place = file.find_place("lr.high")
    assert place is not None
    assert (place.key, place.line) == ("space.lr.high", 13)


def test_json_escapes_are_read() -> None:
    name = 'a "😀" \\ud83d\\ude00 \\😀 é/'

    body = {"name": name, "direction": "minimize", "launch": {"program": "p"}}
    assert read_sweep_file(json.dumps(body)).name == name


def test_our_own_form_has_the_fields_of_the_body() -> None:
    assert set(KEYS) == set(CreateSweepBody.model_fields)
    for executor, launch in {
        "process": ProcessLaunchBody,
        "wandb": WandbLaunchBody,
        "wandb-launch": WandbQueueLaunchBody,
    }.items():
        assert set(KEYS_OF_EXECUTORS[executor]) == set(launch.model_fields)
    for part, body in {
        "budget": SweepBudgetBody,
        "retry": RetryBody,
        "sampler": ComponentBody,
        "pruner": ComponentBody,
    }.items():
        assert set(KEYS_OF_PARTS[part]) == set(body.model_fields)
    assert set(KEYS_OF_OBJECTIVE) == set(ObjectiveBody.model_fields)


def test_what_our_own_form_lacks_is_named() -> None:
    file = read_sweep_file("objectives:\n- {name: loss}\nlaunch: {program: p}\n")

    lacking = file.place_error(FieldError("objectives.0.direction", "Field required"))

    assert lacking == FieldError("objectives.0.direction", "line 2: This is missing.")
    assert file.place_error(FieldError("seed", "wrong")) is None


@pytest.mark.parametrize(
    ("spelling", "value"),
    [
        ("1e-5", 1e-5),
        ("-1E+3", -1000.0),
        (".5e2", 50.0),
        ("'1e-5'", "1e-5"),
        ("1e", "1e"),
        ("yes", True),
        ("010", 8),
        ("1_000", 1000),
        ("~", None),
        ("2026-01-31", "2026-01-31"),
        ("!!str 5", "5"),
        ("=", "="),
    ],
)
def test_scalars_are_what_yaml_says(spelling: str, value: Any) -> None:
    file = read_parameters(f"  x: {{value: {spelling}}}\n")

    found = file.document["space"]["x"]["value"]
    assert (found, type(found)) == (value, type(value))


def test_a_number_without_a_dot_is_noted() -> None:
    file = read_parameters("  x: {values: [1e-5, 1.e5]}\n")

    assert file.notes == (
        "line 5: 1e-5 was read as a number; other readers of YAML take it for text, so 1.0e-5 is "
        "safer.",
        "line 5: 1.e5 was read as a number; other readers of YAML take it for text, so 1.e+5 is "
        "safer.",
    )


def test_values_outside_the_range_are_noted() -> None:
    inside = read_parameters("  x: {distribution: q_uniform, min: 0, max: 10, q: 5}\n")
    outside = read_parameters("  x: {distribution: q_uniform, min: 1, max: 10, q: 5}\n")
    log = read_parameters("  x: {distribution: q_log_uniform_values, min: 1, max: 9.2, q: 0.3}\n")

    assert inside.notes == ()
    assert log.notes == (
        "line 5: Values go from 0.8999999999999999 to 9.299999999999999: multiples of q, the "
        "nearest ones, as in W&B.",
    )
    assert outside.notes == (
        "line 5: Values go from 0 to 10: multiples of q, the nearest ones, as in W&B.",
    )


def test_exponents_are_noted() -> None:
    file = read_parameters("  x: {distribution: log_uniform, min: 1.0e-5, max: 0.01}\n")

    assert file.notes == (
        "line 5: The bounds are exponents of e here, as in W&B, so values go from 1 to 1.01; "
        "log_uniform_values takes the bounds themselves.",
    )


def test_exponents_with_a_quantum_are_noted() -> None:
    file = read_parameters("  x: {distribution: q_log_uniform, min: -9, max: 1.5, q: 2}\n")

    assert file.notes == (
        "line 5: The bounds are exponents of e here, as in W&B, so values go from 0 to 4; "
        "q_log_uniform_values takes the bounds themselves.",
    )


def test_anchors_and_merges() -> None:
    file = read_parameters(
        "  a: &a {min: 0.0, max: 1.0}\n  b: {<<: *a, max: 2.0}\n  c: {<<: [*a, {step: 0.5}]}\n"
    )

    low = {"type": "float", "low": 0.0}
    assert file.document["space"] == {
        "a": {**low, "high": 1.0},
        "b": {**low, "high": 2.0},
        "c": {**low, "high": 1.0, "step": 0.5},
    }
    assert file.find_line("b.low") == 6


def test_a_bomb_of_anchors_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]

    assert refusals("\n".join(lines)) == {
        "file": f"line 6: A sweep file has at most {MAX_PARTS} parts; long ones count as several."
    }


@pytest.mark.parametrize(
    "text",
    [
        f"launch: {{program: a, command: [&a {'x' * 100_000}{', *a' * 1000}]}}",
        f"launch: {{program: a}}\nspace:\n  ? {'k' * 100_000}\n  : [{'1, ' * 1000}]",
    ],
    ids=["repeated by an anchor", "named by its path"],
)
def test_what_is_long_and_told_again_and_again_is_refused(text: str) -> None:
    assert "long ones count as several" in refusals(text)["file"]


def test_a_file_of_many_parts_is_read_in_one_pass() -> None:
    """Were each part to look at all others, this would take longer than a test may."""
    unknown = "".join(f"  k{n}: 1\n" for n in range(48_000))

    assert len(refusals(f"{SMALLEST}budget:\n{unknown}")) == 100


def test_large_and_deep_files_are_refused() -> None:
    large = SMALLEST + "#" * MAX_BYTES

    assert "bytes" in refusals(large)["file"]
    assert "deep" in refusals("[" * 100_000)["file"]
    assert "deep" in refusals("a: " + "{a: " * 100_000)["file"]


def test_only_so_much_is_said() -> None:
    refused = "".join(f"  p{n}: 1\n" for n in range(1000))
    noted = "".join(f"  p{n}: {{value: 1e5}}\n" for n in range(1000))

    assert len(refusals(SMALLEST + refused)) == 100
    assert len(read_parameters(noted).notes) == 101


def test_text_that_is_no_yaml_is_refused() -> None:
    assert refusals("method: random\nname: \0") == {
        "file": "line 2: There is a control character here, which YAML does not allow."
    }
    assert refusals("method: !!int ''")["method"] == "line 1: '' is not a value of the type int."
    assert refusals("method: random\nname: \ud83d") == {
        "file": "line 2: This is not valid Unicode."
    }


@pytest.mark.parametrize("macro", [*MACROS, "envvar:HOME"])
def test_executors_know_every_macro(macro: str) -> None:
    context = CommandContext("train.py", "python", {"HOME": "/home/ada"}, "args.json")

    command = build_command(["run", f"${{{macro}}}"], {"lr": 0.1}, context)

    assert find_macro_problem(f"${{{macro}}}") is None
    assert not any("${" in word for word in command.argv)
