"""Programs of the real SDK that name their run by variables that they set themselves."""

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from service.domain.attempts import EndingKind
from service.schedulers.executors.base import Launch, StopKind
from tests.integration.process_bench import wait_until
from tests.wandb.run_bench import PROJECT, Outcome, RunBench, follow
from tests.wandb_backend import Backend

pytestmark = pytest.mark.timeout(240)

# As examples of Hugging Face have it, but for the accident.
_PROGRAM = """
import os, signal, sys, time

os.environ["WANDB_PROJECT"] = "theirs"
os.environ["WANDB_ENTITY"] = "somebody"
os.environ["WANDB_RUN_ID"] = "theirs"
import wandb

os.environ["WANDB_PROJECT"] = "theirs-too"
if "insist" in sys.argv:
    del os.environ["WANDB_project"]
run = wandb.init(project=os.environ["WANDB_PROJECT"])
run.log({"loss": 1.0})
run.log({"loss": run.config.lr})
if run.config.doing == "wait":
    time.sleep(100)
if run.config.doing == "kill":
    time.sleep(2.5)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def bench(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> RunBench:
    folder: Path = tmp_path_factory.mktemp("worker")
    bench = RunBench(folder, backend.build_environment())
    (folder / "theirs.py").write_text(_PROGRAM)
    return bench


def build_launch(bench: RunBench, number: int, doing: str, **arguments: Any) -> Launch:
    params = {"lr": 0.25, "doing": doing}
    launch = bench.build_launch(params, number, program="theirs.py", **arguments)
    return replace(launch, metrics=("loss",), directions=("minimize",))


def test_run_joins_its_sweep(bench: RunBench, backend: Backend):
    sweep = backend.plant_sweep("mirror02", project=PROJECT)
    launch = build_launch(bench, 1, "finish")
    launch = replace(launch, mirror_ref=f"acme/{PROJECT}/{sweep.name}")

    outcome = asyncio.run(_follow(bench, launch))

    assert (outcome.ending.kind, outcome.ending.exit_code) == (EndingKind.EXITED, 0)
    assert outcome.ending.values == {"loss": 0.25}
    assert outcome.reference == f"acme/{PROJECT}/{launch.run_id}"
    run = backend.runs[outcome.reference]
    assert (run.state, run.sweep) == ("finished", sweep.name)


def test_end_of_killed_run_is_told_where_it_is(bench: RunBench, backend: Backend):
    launch = build_launch(bench, 2, "kill")

    async def see() -> Outcome:
        async with bench.open() as executor:
            outcome = await follow(executor, launch)
            await wait_until(lambda: backend.runs[outcome.reference].state != "running")
            return outcome

    outcome = asyncio.run(see())

    assert backend.runs[outcome.reference].state == "failed"
    assert outcome.seen.rows[-1].values["loss"] == 0.25


def test_offline_run_is_followed(bench: RunBench):
    outcome = asyncio.run(_follow(bench, build_launch(bench, 3, "finish", mode="offline")))

    assert outcome.ending.values == {"loss": 0.25}


def test_run_that_is_elsewhere_all_the_same(bench: RunBench, backend: Backend):
    """Shells mix the variables that they hand on."""
    command = ["${interpreter}", "${program}", "insist"]
    launch = build_launch(bench, 4, "kill", command=command)
    there = f"acme/theirs-too/{launch.run_id}"
    links: list[str | None] = []

    async def see() -> Outcome:
        async with bench.open() as executor:

            def look_at_link() -> None:
                links.append(executor.url(f"acme/{PROJECT}/{launch.run_id}"))

            outcome = await follow(executor, launch, at_end=look_at_link)
            await wait_until(lambda: backend.runs[there].state != "running")
            return outcome

    outcome = asyncio.run(see())

    assert outcome.seen.rows[-1].values["loss"] == 0.25
    assert backend.runs[there].state == "failed"
    assert links == [f"{backend.url}/acme/theirs-too/runs/{launch.run_id}"]


def test_stop_of_run_that_is_elsewhere(bench: RunBench, backend: Backend):
    command = ["${interpreter}", "${program}", "insist"]
    launch = build_launch(bench, 6, "wait", command=command)

    async def see() -> None:
        async with bench.open() as executor:
            await follow(executor, launch, partial(executor.stop, launch, StopKind.GRACEFUL))

    asyncio.run(see())

    assert backend.runs[f"acme/theirs-too/{launch.run_id}"].state == "killed"


def test_run_that_does_not_find_its_sweep_says_why(bench: RunBench, backend: Backend):
    sweep = backend.plant_sweep("mirror03", project=PROJECT)
    command = ["${interpreter}", "${program}", "insist"]
    launch = build_launch(bench, 5, "finish", command=command)
    launch = replace(launch, mirror_ref=f"acme/{PROJECT}/{sweep.name}")

    outcome = asyncio.run(_follow(bench, launch))

    assert outcome.ending.exit_code == 1
    assert outcome.ending.message is not None
    assert "Its run was to be in acme/theirs-too" in outcome.ending.message


async def _follow(bench: RunBench, launch: Launch) -> Outcome:
    async with bench.open() as executor:
        return await follow(executor, launch)
