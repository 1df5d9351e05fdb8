"""`asktell sweep run` and `check`: what the file and the options say, and how it ends."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from tests.api.command_use import Run, build_run
from tests.api.served import serve_app
from tests.api.sweep_commands.use import FILE, claim_of_gpu
from tests.api.sweep_use import end


def rewrite(file: Path, text: str) -> None:
    file.write_text(text)


async def test_shows_a_sweep_until_it_is_over(run: Run, api: httpx.AsyncClient, file: Path) -> None:
    running = asyncio.create_task(run("run", file))
    (first,) = await claim_of_gpu(api)
    assert first["launch"]["directory"] == str(file.parent)
    await end(api, first, values={"accuracy": 0.75})
    (second,) = await claim_of_gpu(api)
    await end(api, second, exit_code=1)
    result = await running

    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].startswith("Sweep lenet-")
    assert "trial 1 failed: " in result.output
    end_line = next(line for line in lines if " is finished (max_trials): " in line)
    assert "1 complete, 0 pruned, 1 failed, 0 running, 0 left" in end_line
    assert lines[-2] == "best accuracy 0.75 (trial 0)"
    assert lines[-1].strip().startswith("lr=")


async def test_a_sweep_without_a_result_fails(run: Run, api: httpx.AsyncClient, file: Path) -> None:
    running = asyncio.create_task(run("run", file, "--trials", "1", "--json"))
    (attempt,) = await claim_of_gpu(api)
    await end(api, attempt, exit_code=3)
    result = await running

    assert result.exit_code == 1, result.output
    document = json.loads(result.stdout)
    assert document["sweep"]["state"] == "finished"
    assert document["sweep"]["study"]["counts"]["fail"] == 1
    assert document["best"] is None


async def test_options_win_over_the_file(run: Run, api: httpx.AsyncClient, file: Path) -> None:
    options = ["--name", "n", "--trials", "7", "--parallelism", "3", "--directory", "/srv"]
    result = await run("run", file, *options, "--detach", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["sweep"] == "n"
    sweep = (await api.get("/sweeps/n")).json()
    assert sweep["budget"]["max_trials"] == 7
    assert sweep["parallelism"] == 3
    assert sweep["sweep"]["launch"]["directory"] == "/srv"
    assert sweep["sweep"]["launch"]["program"] == "train.py"


@pytest.mark.parametrize("options", [[], ["--trials", "3"]])
async def test_a_wrong_file_is_refused_by_key_and_line(
    run: Run, file: Path, options: list[str]
) -> None:
    rewrite(file, FILE.replace("run_cap", "run_cup"))
    result = await run("run", file, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"{file}:7: run_cup: ")
    assert isinstance(result.exception, SystemExit)


@pytest.mark.parametrize("options", [[], ["--trials", "3"]])
async def test_what_the_server_would_tell_bit_by_bit_is_told_at_once(
    run: Run, file: Path, options: list[str]
) -> None:
    wrong = "executor: wandb\nwandb: {mod: 1, tags: 5}\nretry: {on: [bored]}\nlease_seconds: null\n"
    rewrite(file, FILE + wrong + "budget: 7\npruner: {type: NoPruner}\n")
    result = await run("run", file, *options)
    assert result.exit_code == 2
    keys = [line.split(": ")[:2] for line in result.stderr.splitlines()]
    assert keys == [
        [f"{file}:{line}", key]
        for line, key in (
            (10, "wandb.mod"),
            (10, "wandb.tags"),
            (11, "retry.on.0"),
            (12, "lease_seconds"),
            (13, "budget"),
            (14, "pruner"),
        )
    ]


@pytest.mark.parametrize(("budget", "shown"), [("7", "7"), ("[]", "a list")])
async def test_a_budget_that_is_none_stays_wrong_beside_an_option(
    run: Run, file: Path, budget: str, shown: str
) -> None:
    rewrite(file, f"direction: minimize\nlaunch: {{program: a}}\nbudget: {budget}\n")
    result = await run("run", file, "--trials", "3", "--detach")
    assert result.exit_code == 2
    assert result.stderr == f"{file}:3: budget: This must be a mapping, not {shown}.\n"


async def test_what_only_the_server_finds_wrong_is_said_as_it_says_it(file: Path) -> None:
    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        problem = {"code": "invalid-request", "detail": "Not here.", "errors": []}
        response = JSONResponse(problem, 422, media_type="application/problem+json")
        await response(scope, receive, send)

    async with serve_app(refuse) as url:
        result = await build_run(url, "sweep")("run", file, status=2)

    assert result.stdout == ""
    assert result.stderr.startswith("asktell: Not here.")


async def test_a_name_that_is_taken_asks_for_another(run: Run, file: Path, sweep: str) -> None:
    result = await run("run", file, "--name", sweep)
    assert result.exit_code == 1
    assert "--name gives this sweep another one." in result.stderr


async def test_a_missing_file_is_a_usage_error(run: Run, tmp_path: Path) -> None:
    assert (await run("run", tmp_path / "none.yaml")).exit_code == 2


async def test_options_that_contradict_the_file_are_refused(run: Run, file: Path) -> None:
    for command in ("run", "check"):
        result = await run(command, file, "--project", "numbers", "--mode", "offline")
        assert result.exit_code == 2
        assert result.stderr.splitlines() == [
            "asktell: --project is for --executor wandb or wandb-launch or wandb-agent.",
            "asktell: --mode is for --executor wandb.",
        ]
        result = await run(command, file, "--executor", "wandb", "--project", "a b")
        assert result.exit_code == 2
        assert result.stderr.startswith("asktell: --project must have no spaces")
