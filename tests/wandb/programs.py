"""Programs that use the real SDK, each in a process of its own: wandb keeps state per process."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

# A run takes seconds; on a busy machine, many.
PATIENCE_SECONDS = 100


def isolate(environment: Mapping[str, str]) -> dict[str, str]:
    """A whole environment around WANDB_* variables; HOME is where WANDB_DIR is."""
    return {"PATH": os.environ["PATH"], "HOME": environment["WANDB_DIR"], **environment}


def start_program(source: str, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    """Starts Python source with those WANDB_* variables."""
    return subprocess.Popen(
        [sys.executable, "-c", source],
        env=isolate(environment),
        cwd=environment["WANDB_DIR"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_program(source: str, environment: Mapping[str, str]) -> str:
    """What such a program printed.

    Raises:
        AssertionError: It did not end with code 0.
    """
    with start_program(source, environment) as program:
        output, errors = program.communicate(timeout=PATIENCE_SECONDS)
    assert program.returncode == 0, errors
    return output


def ask_api(expressions: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, Any]:
    """What Python expressions with a `wandb.Api` named `api` are, in order, or what they raise."""
    source = (
        f"{_ASKING}\nanswers = ask({dict(expressions)!r})\nprint(json.dumps(answers, default=repr))"
    )
    answers: dict[str, Any] = json.loads(run_program(source, environment).splitlines()[-1])
    return answers


_ASKING = """
import json
import wandb
from wandb.sdk.launch import launch_add

def ask(expressions):
    names = {"api": wandb.Api(timeout=30), "wandb": wandb, "launch_add": launch_add}
    return {name: look(source, names) for name, source in expressions.items()}

def look(source, names):
    try:
        return eval(source, names)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
"""
