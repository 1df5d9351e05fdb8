"""From a sweep's command and a trial's params to the arguments of a program."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from service.schedulers.executors.base import LaunchRefused
from service.schedulers.executors.process.commands import Command, CommandContext, build_command

PARAMS = {"lr": 1e-05, "layers": 3, "bias": True, "dropout": False, "opt": {"name": "adam"}}


def build(
    command: Sequence[Any] | None,
    params: dict[str, Any] | None = None,
    *,
    program: str | None = "train.py",
    environment: dict[str, str] | None = None,
) -> Command:
    context = CommandContext(program, "/opt/python", environment or {}, "/folder/args.json")
    return build_command(command, PARAMS if params is None else params, context)


def test_default_command_is_wandbs():
    command = build(None)

    assert command.argv == (
        *("/usr/bin/env", "/opt/python", "train.py"),
        *("--lr=1e-05", "--layers=3", "--bias=True", "--dropout=False", "--opt.name=adam"),
    )
    assert command.program == "train.py"
    assert command.is_interpreted
    assert command.args_json is None


@pytest.mark.parametrize(
    ("macro", "words"),
    [
        ("${args_no_equals}", ["--a", "1", "--b", "False", "--c", "None"]),
        ("${args_no_hyphens}", ["a=1", "b=False", "c=None"]),
        ("${args_no_boolean_flags}", ["--a=1", "--c=None"]),
        ("${args_append_hydra}", ["+a=1", "+b=False", "+c=None"]),
        ("${args_override_hydra}", ["++a=1", "++b=False", "++c=None"]),
        ("${args_json}", ['{"a": 1, "b": false, "c": null}']),
        ("${args_dict}", ["a", "b", "c"]),
        ("${interpreter}", ["/opt/python"]),
        ("${program}", ["train.py"]),
        ("${env}", ["/usr/bin/env"]),
    ],
)
def test_macro(macro: str, words: list[str]):
    assert build(["./run", macro], {"a": 1, "b": False, "c": None}).argv == ("./run", *words)


def test_true_is_a_bare_flag_and_one_is_not():
    command = build(["./run", "${args_no_boolean_flags}"], {"fast": True, "one": 1, "zero": 0})

    assert command.argv == ("./run", "--fast", "--one=1", "--zero=0")


def test_params_file_is_named_and_its_text_given():
    command = build(["${program}", "--file", "${args_json_file}"])

    assert command.argv == ("train.py", "--file", "/folder/args.json")
    assert command.args_json is not None
    assert json.loads(command.args_json) == PARAMS


def test_environment_macro_is_replaced_anywhere():
    words = ["${program}", "--out=${envvar:OUT}/${envvar:NAME}", "${envvar:MISSING}"]

    command = build(words, environment={"OUT": "/data", "NAME": "x"})

    assert command.argv == ("train.py", "--out=/data/x", "MISSING")


def test_what_is_no_macro_stays_as_it_is():
    words = ["./run", "echo ${HOME}", "${", 3, 0.5]

    assert build(words).argv == ("./run", "echo ${HOME}", "${", "3", "0.5")


@pytest.mark.parametrize(
    ("command", "program"),
    [
        (["${env}", "./run", "${args}"], "./run"),
        (["${interpreter}", "train.py"], "train.py"),
        (["${env}", "${interpreter}", "-m", "train"], "-m"),
        (["./run", "${env}", "${interpreter}"], "./run"),
        (["/usr/bin/env", "./run"], "/usr/bin/env"),
        (["${interpreter}", "${env}", "./run"], "/usr/bin/env"),
    ],
)
def test_program_is_what_follows_the_leading_macros(command: list[str], program: str):
    assert build(command).program == program


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["${env}", "${interpreter}"], "names no program"),
        (["./run", "${argz}"], r"no macro \$\{argz\}. Did you mean"),
        (["./run", "--x=${program}"], "as an item of its own"),
        (["./run", "${envvar:lower}"], "names no variable in capitals"),
        (["./run", "--t=${envvar:ASKTELL_TOKEN}"], "can see the arguments"),
        (["./run", "--k=${envvar:WANDB_API_KEY}"], "finds WANDB_API_KEY in its environment"),
    ],
)
def test_command_that_makes_no_sense_is_refused(command: list[str], message: str):
    with pytest.raises(LaunchRefused, match=message):
        build(command)


@pytest.mark.parametrize(
    "name",
    [
        *("WANDB_BASE_URL", "WANDB_X_EXTRA_HTTP_HEADERS", "WANDB_X_PROXIES", "WANDB_HTTP_PROXY"),
        *("WANDB_HTTPS_PROXY", "HTTP_PROXY", "HTTPS_PROXY"),
    ],
)
def test_what_may_hold_a_password_is_no_argument(name: str):
    with pytest.raises(LaunchRefused, match=f"finds {name} in its environment"):
        build(["./run", f"--w=${{envvar:{name}}}"], environment={name: "http://me:pw@host"})


def test_program_macro_without_a_program_is_refused():
    for command in (None, ["${program}"]):
        with pytest.raises(LaunchRefused, match="Say what to launch"):
            build(command, program=None)
    assert build(["./run"], program=None).argv == ("./run",)
