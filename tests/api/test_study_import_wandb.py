"""`asktell study import --from-wandb`: the real SDK against the stand-in for W&B."""

import asyncio
import json
import math
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import asktell
import pytest

from service.cli.imports.found import ORIGIN_ATTR
from service.sandbox import Sandbox
from tests.api.conftest import TOKEN
from tests.wandb_backend import Backend
from tests.wandb_backend.run_records import RunRecord

SWEEP = {
    "method": "bayes",
    "metric": {"name": "val.loss", "goal": "minimize"},
    "parameters": {
        # W&B writes small numbers like this, which YAML takes for text.
        "lr": {"min": "1e-05", "max": 0.1, "distribution": "log_uniform_values"},
        "units": {"distribution": "q_uniform", "min": 8, "max": 64, "q": 8},
        "opt": {"parameters": {"name": {"values": ["adam", "sgd"]}, "beta": {"value": 0.9}}},
    },
}

PYTHON = """
def objective(trial):
    if trial.suggest_categorical("kind", ["a", "b"]) == "a":
        trial.suggest_float("opt.lr", 0, 1)
    else:
        trial.suggest_categorical("size", [64, 128])
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def backend() -> Iterator[Backend]:
    with Backend() as backend:
        yield backend
        assert backend.unknown == [], "Teach tests/wandb_backend what the SDK asked for."


@pytest.fixture
def environment(backend: Backend, url: str, tmp_path: Path) -> dict[str, str]:
    """Of somebody who is logged in to the stand-in and to the server."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "ASKTELL_URL": url,
        "ASKTELL_TOKEN": TOKEN,
        **{f"WANDB_{each}_DIR": str(tmp_path) for each in ("CACHE", "CONFIG", "DATA")},
        **backend.build_environment(),
    }


async def run(environment: dict[str, str], *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, document and standard error of `asktell study import …`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service.cli.main", "study", "import", *arguments, "--json"),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, json.loads(output or "{}"), errors.decode()


def configure(run: RunRecord, **config: Any) -> RunRecord:
    run.config = {"_wandb": {"value": {}}, **{key: {"value": each} for key, each in config.items()}}
    return run


def plant_sweep_run(backend: Backend, name: str, state: str, losses: list[float]) -> RunRecord:
    """One that also logs what is no result, at steps of its own."""
    rows: list[dict[str, Any]] = [{"val": {"loss": loss}, "epoch": 0} for loss in losses]
    rows += [{"size": 3}]
    run = backend.plant_run(name, rows=rows, state=state, sweep="s1")
    run.summary = {"val": {"loss": losses[-1]}} if losses else {}
    return configure(run, lr=0.01, units=24, opt={"name": "sgd", "beta": 0.9}, seed=3)


async def test_imports_the_runs_of_a_sweep_into_a_study_with_its_space(
    backend: Backend, url: str, environment: dict[str, str]
) -> None:
    backend.plant_sweep("s1").config = SWEEP
    steps = [1.0 / (1 + step) for step in range(1200)]
    plant_sweep_run(backend, "long", "finished", steps)
    plant_sweep_run(backend, "odd", "finished", [math.nan, 0.5])
    plant_sweep_run(backend, "nan", "finished", [0.5, math.nan])
    plant_sweep_run(backend, "none", "finished", [])
    for state in ("failed", "crashed", "killed", "running", "pending"):
        plant_sweep_run(backend, state, state, [0.25])
    configure(backend.plant_run("other", state="finished"), lr=0.01)

    code, document, errors = await run(environment, "ours", "--from-wandb", "acme/mnist/s1")
    assert code == 0, errors
    assert document["imported"] == {"complete": 2, "pruned": 0, "fail": 5}
    assert document["left_out"] == {"running": 1, "pending": 1}
    with asktell.Client(url, TOKEN) as client:
        study = await asyncio.to_thread(client.get_study, "ours")
        trials = await asyncio.to_thread(study.get_trials)
    assert [(each.name, each.direction.name) for each in study.objectives] == [
        ("val.loss", "MINIMIZE")
    ]
    assert study.space is not None
    assert study.space["lr"] == {"type": "float", "low": 1e-5, "high": 0.1, "log": True}
    by_id = {trial.user_attrs["wandb_run"]: trial for trial in trials}
    long = by_id["long"]
    assert long.params == {"lr": 0.01, "units": 24, "opt.name": "sgd"}
    assert long.values == [steps[-1]]
    assert list(long.intermediate_values.values()) == steps
    assert long.user_attrs["wandb_url"] == f"{backend.url}/acme/mnist/runs/long"
    assert long.user_attrs[ORIGIN_ATTR] == "wandb/acme/mnist/long"
    assert [str(value) for value in by_id["odd"].intermediate_values.values()] == ["nan", "0.5"]
    assert by_id["nan"].reason == "The run finished without a number for val.loss."
    assert by_id["killed"].reason == "The run was killed at W&B."

    plant_sweep_run(backend, "late", "finished", [0.125])
    code, document, errors = await run(environment, "ours", "--from-wandb", "acme/mnist/s1")
    assert code == 0, errors
    assert (document["already_there"], document["imported"]["complete"]) == (7, 1)


async def test_imports_chosen_runs_of_a_project_into_a_study_that_declares_its_space(
    backend: Backend, url: str, environment: dict[str, str]
) -> None:
    rows = [{"acc": 0.5, "epoch": 0}, {"acc": 0.75, "epoch": 1}, {"acc": 0.25, "epoch": 2}]
    for name, lr in (("fits", 0.5), ("does-not", 5.0), ("is-of-others", 0.5)):
        run_ = configure(backend.plant_run(name, rows=rows, state="finished"), lr=lr, seed=1)
        run_.group = None if name == "is-of-others" else "mine"
    with asktell.Client(url, TOKEN) as client:
        space = {"lr": {"type": "float", "low": 0.0, "high": 1.0}}
        create = partial(client.create_study, "ours", direction="maximize", space=space)
        study = await asyncio.to_thread(create)
        options = ["--metric", "acc", "--value", "best", "--step-metric", "epoch", "--skip-unfit"]
        chosen = ["--from-wandb", "acme/mnist", "--filter", '{"group": "mine"}', *options]
        typo = ["--from-wandb", "acme/mnist", "--metric", "accc", "--guess-space"]
        code, _, errors = await run(environment, "new", *typo)
        assert code == 2
        assert "No run has logged accc. Say with --metric which of acc, epoch" in errors
        code, document, errors = await run(environment, "ours", *chosen)
        assert code == 0, errors
        (trial,) = await asyncio.to_thread(study.get_trials)
    assert trial.params == {"lr": 0.5}
    assert trial.values == [0.75]
    assert trial.intermediate_values == {0: 0.5, 1: 0.75, 2: 0.25}
    assert [each["trial"] for each in document["unfit"]] == ["does-not"]


async def test_imports_the_runs_of_a_sweep_whose_space_is_python(
    backend: Backend, url: str, environment: dict[str, str]
) -> None:
    labels = {"study": {"value": "theirs"}}
    backend.plant_sweep("s1").config = {
        "method": "custom",
        "metric": {"name": "val.loss", "goal": "minimize"},
        "parameters": {"asktell": {"parameters": labels}},
    }
    ours = {"study": "theirs", "trial": 0, "attempt": 1}
    configs = [{"kind": "a", "opt": {"lr": 0.5}}, {"kind": "b", "size": 64}, {"kind": "b"}]
    for name, config in zip(("r0", "r1", "lacks"), configs, strict=True):
        planted = plant_sweep_run(backend, name, "finished", [0.5])
        configure(planted, **config, asktell=ours, tags=["x"], epochs=3)
    with asktell.Client(url, TOKEN) as client:
        study = await asyncio.to_thread(partial(client.create_study, "ours", python=PYTHON))
        options = ["--from-wandb", "acme/mnist/s1", "--skip-unfit"]
        code, document, errors = await run(environment, "ours", *options)
        assert code == 0, errors
        trials = await asyncio.to_thread(study.get_trials)
    assert [trial.params for trial in trials] == [{"kind": "a", "opt.lr": 0.5}, configs[1]]
    (unfit,) = document["unfit"]
    assert unfit["trial"] == "lacks"
    assert "size: The study's Python asks for it" in unfit["problem"]


async def test_says_that_wandb_refuses_and_not_with_which_key(
    backend: Backend, environment: dict[str, str]
) -> None:
    refused = {**environment, "WANDB_API_KEY": "wrong" * 8}
    code, _, errors = await run(refused, "ours", "--from-wandb", "acme/mnist/s1")
    assert code == 1
    assert "asktell: W&B cannot be read: " in errors
    assert "wrongwrong" not in errors
