"""`asktell sweep ls`, `show`, `logs` and `export`."""

import asyncio
import json
from pathlib import Path

import httpx

from tests.api.command_use import Run
from tests.api.sweep_commands.use import WANDB, claim_of_gpu
from tests.api.sweep_use import REPORT, claim, claim_mirrors, end, observe, send_log, tell_mirror


async def test_lists_and_shows(run: Run, api: httpx.AsyncClient, sweep: str) -> None:
    nobody = await run("show", sweep)
    assert "no worker for queue gpu: start `asktell worker --queue gpu`" in nobody.output

    first, second = await claim_of_gpu(api, count=2)
    await observe(api, first, note="To upload it: wandb sync runs/1")
    await end(api, first, exit_code=9)
    await end(api, second, values={"accuracy": 0.75})
    listed = await run("ls")
    assert [word for line in listed.output.splitlines() for word in line.split()][-7:] == [
        *("s", "finished", "2/2", "0.75", "0", "gpu", "-")
    ]
    assert json.loads((await run("ls", "--json")).stdout)["sweeps"][0]["name"] == sweep
    assert (await run("ls", "--state", "paused", "--json")).stdout == '{"sweeps": []}\n'
    assert "There are no sweeps" in (await run("ls", "--name", "zzz")).output

    shown = await run("show", sweep)
    assert "s: finished (max_trials)" in shown.output
    assert "best accuracy 0.75 (trial 1)" in shown.output
    assert "trial 0 failed: " in shown.output
    (line,) = (each for each in shown.output.splitlines() if first["id"] in each)
    assert line.endswith("; To upload it: wandb sync runs/1")
    document = json.loads((await run("show", sweep, "--json")).stdout)
    assert [each["exit_code"] for each in document["attempts"]] == [0, 9]
    assert document["best"]["values"] == [0.75]


async def test_a_trial_that_no_worker_had_tells_why_it_failed(
    run: Run, api: httpx.AsyncClient, sweep: str, file: Path
) -> None:
    (attempt,) = await claim_of_gpu(api)
    await end(api, attempt, exit_code=9)
    assert (await api.post(f"/studies/{sweep}/ask")).status_code == 200
    told = {"state": "FAIL", "reason": "objective: it raised\nValueError"}
    assert (await api.post(f"/studies/{sweep}/trials/1/tell", json=told)).status_code == 200

    shown = (await run("show", sweep)).output
    failures = json.loads((await run("show", sweep, "--json")).stdout)["failures"]
    logs = await run("logs", sweep, "1")

    reason = "objective: it raised ValueError"
    assert shown.index(f"trial 1 failed: {reason}") < shown.index("trial 0 failed: ")
    assert [(each["trial"], each["attempt"]) for each in failures] == [(1, None), (0, 1)]
    assert f"Trial 1 of s failed before a worker had it: {reason}" in logs.stderr


async def test_whose_worker_has_left_is_told_how_it_goes_on(
    run: Run, api: httpx.AsyncClient, sweep: str
) -> None:
    report = REPORT | {"queue": "gpu"}
    assert (await api.put("/workers/w1", json=report)).status_code == 204
    await claim_of_gpu(api, count=2)
    hint = "no worker for queue gpu follows what runs: start `asktell worker --queue gpu`"
    assert hint not in (await run("show", sweep)).output
    assert (await api.delete("/workers/w1")).status_code == 204
    assert hint in (await run("show", sweep)).output


async def test_prints_and_follows_logs(run: Run, api: httpx.AsyncClient, sweep: str) -> None:
    none = await run("logs", sweep)
    assert none.exit_code == 1
    assert "Sweep s has had no attempt yet" in none.stderr

    first, second = await claim_of_gpu(api, count=2)
    for attempt in (first, second):
        await send_log(api, attempt, f"trial {attempt['trial']}\n")
    assert (await run("logs", sweep)).stdout == "trial 1\n"
    assert (await run("logs", sweep, "0")).stdout == "trial 0\n"
    assert (await run("logs", sweep, first["id"])).stdout == "trial 0\n"
    document = json.loads((await run("logs", sweep, "0", "--json")).stdout)
    assert (document["attempt"]["id"], document["text"]) == (first["id"], "trial 0\n")

    following = asyncio.create_task(run("logs", sweep, "0", "--follow"))
    await send_log(api, first, "done\n", offset=8)
    await end(api, first)
    assert (await following).stdout == "trial 0\ndone\n"


async def test_exports(run: Run, api: httpx.AsyncClient, sweep: str, tmp_path: Path) -> None:
    (attempt,) = await claim_of_gpu(api)
    await end(api, attempt, values={"accuracy": 0.75})
    table = (await run("export", sweep)).stdout
    assert "params_lr" in table.splitlines()[0]
    assert ",0.75," in table.splitlines()[1]
    assert json.loads((await run("export", sweep, "--json")).stdout)
    result = await run("export", sweep, "--output", tmp_path / "trials.csv")
    assert (result.exit_code, result.stdout) == (0, "")
    assert await asyncio.to_thread((tmp_path / "trials.csv").read_text) == table


PAGE = "https://wandb.example/ada/numbers"


async def test_one_option_makes_trials_runs_of_wandb(
    run: Run, api: httpx.AsyncClient, file: Path
) -> None:
    options = ["--executor", "wandb", "--project", "numbers", "--name", "w", "--detach"]
    assert (await run("run", file, *options)).exit_code == 0
    assert "queue gpu: start" in (await run("show", "w")).output
    report = REPORT | {"queue": "gpu", "executors": ["process"]}
    assert (await api.put("/workers/w1", json=report)).status_code == 204
    assert "queue gpu has the executor wandb: start" in (await run("show", "w")).output

    assert len(await claim_mirrors(api, queue="gpu")) == 1
    made = {"external_ref": "ada/numbers/k1", "url": f"{PAGE}/sweeps/k1", "seen": "running"}
    await tell_mirror(api, "w", **made)
    (attempt,) = await claim(api, **WANDB)
    await observe(api, attempt, url=f"{PAGE}/runs/{attempt['run_id']}", note="Recorded offline.")

    shown = (await run("show", "w")).output
    listed = (await run("ls")).output
    logs = await run("logs", "w")

    assert f"in W&B: {PAGE}/sweeps/k1" in shown
    assert attempt["launch"]["project"] == "numbers"
    for words in (f"{PAGE}/runs/{attempt['run_id']}", "Recorded offline."):
        assert words in shown
        assert words in logs.stderr
    assert f"{PAGE}/sweeps/k1" in listed
